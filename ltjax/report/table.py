"""The table at the end of a run."""

from rich import box
from rich.table import Table
from rich.text import Text

from ltjax.classifier import TITLES

_COLUMNS = ("many", "medium", "few", "all", "NLL", "ECE", "Brier")
_LOWER_IS_BETTER = ("NLL", "ECE", "Brier")

# Columns that means beside their deviations need at most.
_ONE_LINE = 130


def table(results, width=80):
    """A rich table of the rows in `results`, the best figure of each column in bold.

    The best is taken over rows of one deterministic pass; a SWAG row costs M passes.
    It needs 77 columns. Figures of several seeds are means and deviations, as those of
    `aggregate`; the deviations go under the means where `width` has no room.
    """
    rows = [row for row in results["rows"] if not _repeats_headline(row, results)]
    single_pass = [row for row in rows if row["backbone"] != "swag"]
    best = {name: _best(name, single_pass) for name in _COLUMNS}

    grid = Table(
        title=Text(_title(results)),
        caption=_caption(rows, results),
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        collapse_padding=True,
        pad_edge=False,
        show_edge="seeds" not in results,  # whose figures need every column of 80
    )
    # As wide as the longest name, so that title and caption have the room they need.
    grid.add_column("row", no_wrap=True, min_width=25)
    for name in _COLUMNS:
        grid.add_column(name, justify="right", no_wrap=True)
    between = "\n" if width < _ONE_LINE else " "
    for row, following in zip(rows, [*rows[1:], None]):
        cells = []
        for name in _COLUMNS:
            value, std = _figure(row, name)
            is_best = row["backbone"] != "swag" and value == best[name] is not None
            cell = Text(_text(name, value), style="bold" if is_best else "")
            if std is not None:
                cell += Text(f"{between}±{_text(name, std)}")
            cells.append(cell)
        ends_group = following is not None and following["backbone"] != row["backbone"]
        grid.add_row(Text(_label(row)), *cells, end_section=ends_group)
    return grid


def _title(results):
    data = results["dataset"]
    counts = data["counts"]
    seeds = f"seed {results['seed']}" if "seed" in results else _seeds(results)
    return (
        f"{data['name']}, {data['train']} training images "
        f"({max(counts)} to {min(counts)} a class), {seeds}"
    )


def _seeds(results):
    word = "seeds" if len(results["seeds"]) > 1 else "seed"
    return f"{word} {', '.join(map(str, results['seeds']))}"


def _caption(rows, results):
    lines = [
        "accuracy in %; NLL in nats; ECE a fraction; bold: the best of a single pass",
    ]
    if len(results.get("seeds", ())) > 1:
        lines.append("mean ± standard deviation over the seeds (squares over n - 1)")
    if any(row["backbone"] == "swag" for row in rows):
        lines.append("SWAG: the mean of many passes, one for each draw")
    if any(row["variant"] == "b" for row in rows):
        lines.append("SRepr (b): not distilled; SRepr (c-...): the other distillation")
    return Text("\n".join(lines))


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
        for other in results["rows"]
    )


def _label(row):
    name = row["backbone"].upper()
    if row["classifier"] != "none":
        name += f" + {TITLES[row['classifier']]}"
    return f"{name} ({row['variant']})" if row["variant"] else name


def _figure(row, name):
    """A figure, which may be a mean, and its deviation, which may be None."""
    figure = row[name.lower()] if name in _LOWER_IS_BETTER else row["acc"][name]
    if isinstance(figure, dict):
        return figure["mean"], figure["std"]
    return figure, None


def _best(name, rows):
    values = [v for v, _ in (_figure(row, name) for row in rows) if v is not None]
    if not values:
        return None
    return min(values) if name in _LOWER_IS_BETTER else max(values)


def _text(name, value):
    if value is None:
        return "-"
    if value >= 1000:  # a class that was never seen can cost any number of nats
        return f"{value:.0f}"
    return f"{value:.3f}" if name in _LOWER_IS_BETTER else f"{value:.2f}"
