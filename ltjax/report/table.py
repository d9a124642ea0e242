"""The table at the end of a run."""

from typing import NamedTuple

from rich import box
from rich.table import Table
from rich.text import Text

from ltjax.classifier import METHODS
from ltjax.workdir.rows import Row, told

COLUMNS = ("many", "medium", "few", "all", "NLL", "ECE", "Brier")
_LOWER_IS_BETTER = ("NLL", "ECE", "Brier")

# Columns that means beside their deviations need at most, and figures of one run
# beside the standard errors of three.
_ONE_LINE, _WITH_ERRORS = 130, 110


def table(results, width=80):
    """A rich table of the rows in `results`, the best figure of each column in bold.

    The best is taken over rows of one deterministic pass; a SWAG row costs M passes.
    It needs 77 columns. Figures of several seeds are means and deviations, as those of
    `aggregate`; the deviations go under the means where `width` has no room. Standard
    errors of one run are beside its figures where there is room; their range is in the
    notes.
    """
    shown, several = lines(results), "seeds" in results
    grid = Table(
        title=Text(title(results)),
        caption=Text("\n".join(notes(results))),
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        collapse_padding=True,
        pad_edge=False,
        show_edge=not several,  # whose figures need every column of 80
    )
    # As wide as the longest name, so that title and caption have the room they need.
    grid.add_column("row", no_wrap=True, min_width=25)
    for name in COLUMNS:
        grid.add_column(name, justify="right", no_wrap=True)
    between = "\n" if several and width < _ONE_LINE else " "
    room = several or width >= _WITH_ERRORS
    for line, following in zip(shown, [*shown[1:], None]):
        cells = []
        for name, (value, std), is_best in zip(COLUMNS, line.figures, line.best):
            cell = Text(text(name, value), style="bold" if is_best else "")
            if std is not None and room:
                cell += Text(f"{between}±{text(name, std)}")
            cells.append(cell)
        ends_group = following is not None and following.backbone != line.backbone
        grid.add_row(Text(line.name), *cells, end_section=ends_group)
    return grid


class Line(NamedTuple):
    """A row of the table."""

    backbone: str  # or "seeds", of the mean of several
    name: str  # as it is read
    figures: tuple  # a `figure` for each of COLUMNS
    best: tuple  # whether each is the best of a single pass


def lines(results):
    """The `Line` of every row in `results` but those that repeat a headline."""
    rows = [row for row in told(results) if not _repeats_headline(row, results)]
    rows += results.get("ensemble", [])
    single_pass = [row for row in rows if _single(row)]
    best = {name: _best(name, single_pass) for name in COLUMNS}

    def is_best(row, name):
        value, _ = figure(row, name)
        return _single(row) and value == best[name] is not None

    return [
        Line(
            _block(row),
            label(row),
            tuple(figure(row, name) for name in COLUMNS),
            tuple(is_best(row, name) for name in COLUMNS),
        )
        for row in rows
    ]


def _single(row):
    """Whether a row is of one pass of one network."""
    return row["backbone"] != "swag" and "seeds" not in row


def _block(row):
    return "seeds" if "seeds" in row else row["backbone"]


def title(results):
    """What was trained on, and the seed or seeds."""
    seeds = f"seed {results['seed']}" if "seed" in results else _seeds(results)
    return f"{data(results)}, {seeds}"


def data(results):
    """What was trained on."""
    of = results["dataset"]
    counts = of["counts"]
    return (
        f"{of['name']}, {of['train']} training images "
        f"({max(counts)} to {min(counts)} a class)"
    )


def _seeds(results):
    word = "seeds" if len(results["seeds"]) > 1 else "seed"
    return f"{word} {', '.join(map(str, results['seeds']))}"


def notes(results):
    """What the table's words mean, in lines."""
    yield "accuracy in %; NLL in nats; ECE a fraction; bold: the best of a single pass"
    if len(results.get("seeds", ())) > 1:
        yield "mean ± standard deviation over the seeds (squares over n - 1)"
    if results.get("ensemble"):
        count = results["ensemble"][0]["seeds"]
        yield f"{count} x ...: the mean probability of the seeds, one pass for each"
    if "seeds" not in results:
        yield from _errors(results)
    swag = {row["classifier"] for row in told(results) if row["backbone"] == "swag"}
    if swag:
        yield "SWAG: the mean of the drawn networks, one pass for each draw"
    if swag & METHODS.keys():
        yield "SWAG + ...: that of the draws' features through the one re-trained head"
    if "cost" in results:
        cost = results["cost"]
        yield (
            f"mean of {cost['experts']} experts (alone: results.json); "
            f"{cost['parameters'] / 1e6:.3g} M weights, {cost['macs'] / 1e6:.4g} M MACs"
        )
    yield from _without(results)
    if any(row["variant"] == "b" for row in results["rows"]):
        yield "SRepr (b): not distilled; SRepr (c-...): the other distillation"
    if "seeds" not in results:
        yield from (choice(row) for row in told(results) if "choice" in row)
        yield from _calibration(results)
        yield from _strangers(results)


def _without(results):
    """What the last row comes to without metadata, in a line; nothing without any."""
    blind = [row for row in results["rows"] if Row.of(row).blind]
    if blind:
        row = blind[-1]
        parts = ", ".join(f"{c} {text(c, figure(row, c)[0])}" for c in COLUMNS)
        yield f"{label(row)} if no metadata were known: {parts}"


def _errors(results):
    """The range of the rows' standard errors, in a line; nothing without any."""
    rows = [row for row in results["rows"] if "se" in row]
    parts = []
    for name in ("all", "NLL", "ECE"):
        found = [
            std for _, std in (figure(row, name) for row in rows) if std is not None
        ]
        if found:
            ends = dict.fromkeys(text(name, end) for end in (min(found), max(found)))
            parts.append(f"{name} {' to '.join(ends)}")
    if parts:
        yield f"standard errors: {', '.join(parts)}"


def _calibration(results):
    """On what the rows were calibrated, in a line; nothing where they were not."""
    found = [row["calibration"] for row in told(results) if "calibration" in row]
    if found:
        ends = dict.fromkeys(
            f"{pick(own['temperature'] for own in found):.2f}" for pick in (min, max)
        )
        yield (
            f"calibrated: temperatures of {' to '.join(ends)}, fitted on "
            f"{found[0]['images']:,} held-out images"
        )


def _strangers(results):
    """Whether strangers are known as such by the last row, in a line."""
    found = results.get("strangers")
    if found:
        *_, last = found["rows"].values()
        parts = (f"{score} {of['auroc']:.3f}" for score, of in last.items())
        yield (
            f"{found['images']:,} strangers, AUROC by {', '.join(parts)} (0.5: by "
            "chance)"
        )


def choice(row):
    """What a row was chosen to be, of what, and what that cost, in a line."""
    made = row["choice"]
    symbols = {"alpha": "α", "temperature": "T", "tau": "τ"}
    chosen = ", ".join(f"{symbols[n]} {made[n]:g}" for n in symbols if n in made)
    return (
        f"{label(row)}: {chosen}, of "
        f"{len(made['candidates'])} on {made['images']:,} held-out images, in "
        f"{made['seconds']:.0f} s"
    )


def _repeats_headline(row, results):
    """A form of SRepr that is the headline row under its own name."""
    if not row["variant"].startswith("c-"):
        return False
    return any(
        other["variant"] == ""
        and (other["backbone"], other["classifier"])
        == (row["backbone"], row["classifier"])
        and other["acc"] == row["acc"]
        and other["nll"] == row["nll"]
        for other in told(results)
    )


def label(row):
    """A row's name as it is read: SWA + SRepr (b)."""
    name = row["backbone"].upper()
    if row["classifier"] in METHODS:
        name += f" + {METHODS[row['classifier']].TITLE}"
    name = f"{name} ({row['variant']})" if row["variant"] else name
    return f"{row['seeds']} x {name}" if "seeds" in row else name


def figure(row, name):
    """A figure of a column, which may be a mean, and its deviation, or None.

    Of one run the deviation is the standard error, where the row has one.
    """
    found = row[name.lower()] if name in _LOWER_IS_BETTER else row["acc"][name]
    if isinstance(found, dict):
        return found["mean"], found["std"]
    errors = row.get("se", {})
    return found, errors.get("acc" if name == "all" else name.lower())


def text(name, value, std=None):
    """A figure of a column as it is read, with its deviation if there is one."""
    if std is not None:
        return f"{text(name, value)} ± {text(name, std)}"
    if value is None:
        return "-"
    if value >= 1000:  # a class that was never seen can cost any number of nats
        return f"{value:.0f}"
    return f"{value:.3f}" if name in _LOWER_IS_BETTER else f"{value:.2f}"


def _best(name, rows):
    values = [v for v, _ in (figure(row, name) for row in rows) if v is not None]
    if not values:
        return None
    return min(values) if name in _LOWER_IS_BETTER else max(values)
