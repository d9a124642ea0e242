"""What a run without labels writes and prints: a CSV of images, a table of rows."""

import csv
import io

from rich import box
from rich.table import Table

from ltjax.workdir.files import write_text

FILE = "clusters.csv"
_SCORES = {
    "balanced_accuracy": "balanced",
    "accuracy": "all",
    "nmi": "NMI",
    "ari": "ARI",
    "f1": "F1",
}
_GROUPS = ("many", "medium", "few")


def write(path, names, found):
    """Writes where a `clusters.Sorted` puts each image, in the order of `names` [N].

    Columns: path or index, cluster, weight, margin and, of draws, agreement.
    """
    key = "path" if isinstance(names[0], str) else "index"
    columns = {
        key: names,
        "cluster": found.cluster.tolist(),
        "weight": _told(found.weight),
        "margin": _told(found.margin),
    }
    if found.agreement is not None:
        columns["agreement"] = _told(found.agreement)
    text = io.StringIO(newline="")
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(columns)
    lines.writerows(zip(*columns.values()))
    write_text(path, text.getvalue())


def _told(values):
    return [f"{value:.4f}" for value in values]


def table(results):
    """The table of rows: clusters in use and, with labels at hand, scores in %."""
    scored = any("scores" in row for row in results["rows"])
    data = results["dataset"]
    found = Table(
        title=f"{data['name']}: {data['train']:,} images in {data['classes']} clusters",
        box=box.SIMPLE,
    )
    names = [*_SCORES.values(), *_GROUPS, "AUROC"] if scored else []
    for name in ("row", "in use", "largest", "agreement", *names):
        found.add_column(name, justify="left" if name == "row" else "right")
    for row in results["rows"]:
        found.add_row(*_cells(row, scored))
    return found


def _cells(row, scored):
    agreement = row.get("agreement")
    yield row["backbone"].upper()
    yield from (str(row["used"]), f"{row['largest']:,}", _share(agreement))
    if scored:
        scores = row["scores"]
        yield from (_share(scores[name]) for name in _SCORES)
        yield from (_share(scores["groups"][name]) for name in _GROUPS)
        auroc = scores.get("auroc")
        yield "-" if auroc is None else f"{auroc:.3f}"


def _share(value):
    return "-" if value is None else f"{100 * value:.1f}"


def shown(results, console):
    """Prints the table, and returns the results."""
    console.print(table(results))
    return results
