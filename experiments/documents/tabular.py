"""Markdown tables, and those of rows over seeds: means, deviations, paired tests."""

from functools import reduce
from typing import NamedTuple

import numpy as np
from scipy import stats

from ltjax.classifier import METHODS
from ltjax.report.aggregate import moments

HEADLINE = "swa", "srepr", ""
VARIANTS = {"stage_one": "head of stage one"}


def markdown(heads, body, text=(0,)):
    """A table; the columns `text` are to the left, figures to the right.

    With None nothing is said about sides.
    """
    left = range(len(heads)) if text is None else text
    sides = ["---" if at in left else "--:" for at in range(len(heads))]
    return "\n".join(
        f"| {' | '.join(map(str, row))} |" for row in (heads, sides, *body)
    )


class Column(NamedTuple):
    """A figure of a line of results."""

    heading: str
    decimals: int
    path: tuple  # of names in the line
    best: object = None  # `min` or `max`: what is bold

    def of(self, line):
        """The figure; None where there is none."""
        return reduce(lambda found, name: found and found[name], self.path, line)


MAIN = (
    *(
        Column(group, 2, ("acc", group), max)
        for group in ("many", "medium", "few", "all")
    ),
    Column("NLL", 3, ("nll",), min),
    Column("ECE", 3, ("ece",), min),
    Column("Brier", 3, ("brier",), min),
)
GROUPS = tuple(
    Column(f"ECE {group}", 3, ("group_ece", group), min)
    for group in ("many", "medium", "few")
)
BEST_EPOCH = (
    Column("all, last epoch", 2, ("acc", "all")),
    Column("all, best epoch on test", 2, ("best_epoch", "all")),
)
SCALED = (
    Column("T", 2, ("temperature",)),
    Column("NLL", 3, ("nll",), min),
    Column("NLL at T", 3, ("nll_scaled",), min),
    Column("ECE", 3, ("ece",), min),
    Column("ECE at T", 3, ("ece_scaled",), min),
)


def columns(*headings):
    """Those of `MAIN` with these headings."""
    return [column for column in MAIN if column.heading in headings]


def named(name, variant):
    """The name of a classifier with that of its variant."""
    return f"{name} ({VARIANTS.get(variant, variant)})" if variant else name


def title(row):
    """A row's name as a reader knows it."""
    backbone, classifier, variant = row
    name = backbone.upper()
    if classifier != "none":
        name += f" + {METHODS[classifier].TITLE}"
    return named(name, variant)


def mean(lines, *path):
    """The mean over seeds of a figure of a row's lines; None where one has none."""
    values = [Column("", 0, path).of(line) for line in lines]
    return None if None in values else float(np.mean(values))


def means(lines, columns):
    """The cells of a row's columns, means over seeds."""
    return [f"{mean(lines, *one.path):.{one.decimals}f}" for one in columns]


def plain(first, named, columns):
    """A table of means over seeds, of pairs of a name and lines."""
    body = ([name, *means(lines, columns)] for name, lines in named)
    return markdown([first, *(one.heading for one in columns)], body)


def table(rows, columns, first="row", name=title):
    """A table of mean ± deviation, the best of each column in bold."""
    body = {row: [name(row)] for row in rows}
    for column in columns:
        best, places = {}, column.decimals
        for row, lines in rows.items():
            middle, std = moments([column.of(line) for line in lines]).values()
            told = "–" if middle is None else f"{middle:.{places}f}"
            if middle is not None and row[0] != "swag":  # of one pass
                best[row] = float(told)
            body[row].append(told + ("" if std is None else f" ± {std:.{places}f}"))
        if column.best and best:
            bound = column.best(best.values())
            for row in (row for row, found in best.items() if found == bound):
                body[row][-1] = f"**{body[row][-1]}**"
    return markdown([first, *(one.heading for one in columns)], body.values())


def against(rows):
    """A table of SRepr less each other row, paired by seed."""
    body = []
    for row, lines in rows.items():
        if row == HEADLINE:
            continue
        body.append([title(row)])
        for column in columns("all", "NLL", "ECE"):
            gaps = [column.of(a) - column.of(b) for a, b in zip(rows[HEADLINE], lines)]
            body[-1] += [f"{np.mean(gaps):+.{column.decimals}f}", p_value(gaps)]
    return markdown(["SRepr less", "all", "p", "NLL", "p", "ECE", "p"], body)


def p_value(gaps):
    """Two-sided p of a paired t-test that the mean gap over seeds is 0."""
    if len(gaps) < 2 or np.ptp(gaps) == 0:
        return "–"
    p = stats.ttest_1samp(gaps, 0).pvalue
    return "<0.001" if p < 0.001 else f"{p:.3f}"
