"""Rows of results over seeds as Markdown tables: means, deviations, paired tests."""

import numpy as np
from scipy import stats

from ltjax.classifier import METHODS
from ltjax.report.aggregate import moments

# Columns: heading, decimals, what of a line, whether lower is better (None: neither).
MAIN = (
    ("many", 2, lambda line: line["acc"]["many"], False),
    ("medium", 2, lambda line: line["acc"]["medium"], False),
    ("few", 2, lambda line: line["acc"]["few"], False),
    ("all", 2, lambda line: line["acc"]["all"], False),
    ("NLL", 3, lambda line: line["nll"], True),
    ("ECE", 3, lambda line: line["ece"], True),
    ("Brier", 3, lambda line: line["brier"], True),
)
GROUPS = (
    ("ECE many", 3, lambda line: line["group_ece"]["many"], True),
    ("ECE medium", 3, lambda line: line["group_ece"]["medium"], True),
    ("ECE few", 3, lambda line: line["group_ece"]["few"], True),
)
BEST_EPOCH = (
    ("all, last epoch", 2, lambda line: line["acc"]["all"], None),
    (
        "all, best epoch on test",
        2,
        lambda line: line["best_epoch"] and line["best_epoch"]["all"],
        None,
    ),
)
SCALED = (
    ("T", 2, lambda line: line["temperature"], None),
    ("NLL", 3, lambda line: line["nll"], True),
    ("NLL at T", 3, lambda line: line["nll_scaled"], True),
    ("ECE", 3, lambda line: line["ece"], True),
    ("ECE at T", 3, lambda line: line["ece_scaled"], True),
)
VARIANTS = {"stage_one": "head of stage one"}


def distinct(rows):
    """The rows but the headline's repetition under the name of its form."""
    headline = [line["nll"] for line in rows.get(("swa", "srepr", ""), [])]
    return {
        row: lines
        for row, lines in rows.items()
        if not (row[2].startswith("c-") and [a["nll"] for a in lines] == headline)
    }


def title(row):
    """A row's name as a reader knows it."""
    backbone, classifier, variant = row
    name = backbone.upper()
    if classifier != "none":
        name += f" + {METHODS[classifier].TITLE}"
    return f"{name} ({VARIANTS.get(variant, variant)})" if variant else name


def table(rows, columns, first="row", name=title):
    """A table of mean ± deviation, the best of each column in bold."""
    cells = {}
    for heading, decimals, figure, lower in columns:
        means = {}
        for row, lines in rows.items():
            mean, std = moments([figure(line) for line in lines]).values()
            if mean is None:
                cells[row, heading] = "–"
                continue
            means[row] = float(f"{mean:.{decimals}f}")
            text = f"{means[row]:.{decimals}f}"
            if std is not None:
                text += f" ± {std:.{decimals}f}"
            cells[row, heading] = text
        single = [mean for row, mean in means.items() if row[0] != "swag"]
        if lower is None or not single:
            continue
        best = min(single) if lower else max(single)
        for row, mean in means.items():
            if mean == best and row[0] != "swag":
                cells[row, heading] = f"**{cells[row, heading]}**"
    headings = [heading for heading, *_ in columns]
    body = [[name(row), *(cells[row, heading] for heading in headings)] for row in rows]
    return markdown([first, *headings], body)


def against(rows):
    """A table of SRepr less each other row, paired by seed."""
    ours = rows["swa", "srepr", ""]
    body = []
    for row, lines in rows.items():
        if row == ("swa", "srepr", ""):
            continue
        cells = []
        for heading in ("all", "NLL", "ECE"):
            _, decimals, figure, _ = next(c for c in MAIN if c[0] == heading)
            gaps = [figure(a) - figure(b) for a, b in zip(ours, lines)]
            cells += [f"{np.mean(gaps):+.{decimals}f}", p_value(gaps)]
        body.append([title(row), *cells])
    return markdown(["SRepr less", "all", "p", "NLL", "p", "ECE", "p"], body)


def p_value(gaps):
    """Two-sided p of a paired t-test that the mean gap over seeds is 0."""
    if len(gaps) < 2 or np.ptp(gaps) == 0:
        return "–"
    p = stats.ttest_1samp(gaps, 0).pvalue
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def markdown(head, body):
    """A table whose first column is text, the others figures."""
    rows = [head, ["---", *["--:"] * (len(head) - 1)], *body]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)
