"""The table at the end of a run."""

from rich.table import Table

from ltjax.classifier import TITLES

_COLUMNS = ("many", "medium", "few", "all", "NLL", "ECE", "Brier")
_LOWER_IS_BETTER = ("NLL", "ECE", "Brier")


def table(results):
    """A rich table of the rows in `results`, the best figure of each column in bold.

    The best is taken over rows of one deterministic pass; a SWAG row costs M passes.
    """
    data = results["dataset"]
    counts = data["counts"]
    grid = Table(
        title=f"{data['name']}, {data['train']} training images "
        f"({max(counts)} to {min(counts)} a class), seed {results['seed']}",
        caption="accuracy in %, NLL in nats, ECE as a fraction; bold: best single pass",
    )
    grid.add_column("row")
    for name in _COLUMNS:
        grid.add_column(name, justify="right")
    grid.add_column("seconds", justify="right")

    shown = [row for row in results["rows"] if not _repeats_headline(row, results)]
    single_pass = [row for row in shown if row["backbone"] != "swag"]
    best = {name: _best(name, single_pass) for name in _COLUMNS}
    backbone = None
    for row in shown:
        if backbone not in (None, row["backbone"]):
            grid.add_section()
        backbone = row["backbone"]
        cells = []
        for name in _COLUMNS:
            value = _figure(row, name)
            text = _text(name, value)
            is_best = row["backbone"] != "swag" and value == best[name]
            cells.append(f"[bold]{text}[/bold]" if is_best and text != "-" else text)
        grid.add_row(_label(row), *cells, f"{row['seconds']:.1f}")
    return grid


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
    return row[name.lower()] if name in _LOWER_IS_BETTER else row["acc"][name]


def _best(name, rows):
    values = [v for v in (_figure(row, name) for row in rows) if v is not None]
    if not values:
        return None
    return min(values) if name in _LOWER_IS_BETTER else max(values)


def _text(name, value):
    if value is None:
        return "-"
    return f"{value:.3f}" if name in _LOWER_IS_BETTER else f"{value:.2f}"
