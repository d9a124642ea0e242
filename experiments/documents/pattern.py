"""The pattern that a reproduction of the paper must show, held against the figures."""

import operator

from tabular import markdown, mean, title

NONE, LA, SREPR = ("swa", "none", ""), ("swa", "la", ""), ("swa", "srepr", "")
SGD, SGD_LA = ("sgd", "none", ""), ("sgd", "la", "")
# Beside the rows of the paper's table.
OTHERS = ("tau_norm", "ncm", "la_posthoc")


def table(rows, spearman):
    """A table of what is claimed, what the paper has, what came out, if it holds.

    `rows` are the lines of each row over seeds; `spearman` the rank correlation of
    class count and dispersion in each space.
    """
    body = []

    def claim(text, paper, value, decimals, *bounds):
        """`bounds` are (words, compare, bound), a further one a row of its own."""
        found = "no such class" if value is None else f"{value:{decimals}}"
        for words, compare, bound in bounds:
            holds = value is not None and compare(value, bound)
            verdict = "–" if value is None else "yes" if holds else "no"
            body.append([text, words, paper, found, verdict])

    def gain(row, other, group="all"):
        means = mean(rows[row], "acc", group), mean(rows[other], "acc", group)
        return None if None in means else means[0] - means[1]

    def ratio(name):
        return mean(rows[SREPR], name) / mean(rows[LA], name)

    at_least, at_most = operator.ge, operator.le
    ten = ("at least +10", at_least, 10)
    claim("few: SGD + LA less SGD", "+21.15", gain(SGD_LA, SGD, "few"), "+.2f", ten)
    claim("few: SWA + LA less SWA", "+22.67", gain(LA, NONE, "few"), "+.2f", ten)
    claim(
        "all: SWA + LA less SGD + LA",
        "+0.65",
        gain(LA, SGD_LA),
        "+.2f",
        ("above 0", operator.gt, 0),
    )
    within = ("within about 0.5", lambda value, bound: abs(value) <= bound, 0.5)
    claim("all: SWA less SGD", "+0.17", gain(NONE, SGD), "+.2f", within)
    claim(
        "ECE: SRepr over SWA + LA",
        "0.48",
        ratio("ece"),
        ".2f",
        ("at most 0.5", at_most, 0.5),
        ("further: at most 0.35", at_most, 0.35),
    )
    claim(
        "NLL: SRepr over SWA + LA",
        "0.966",
        ratio("nll"),
        ".3f",
        ("at most 0.97", at_most, 0.97),
        ("further: at most 0.92", at_most, 0.92),
    )
    claim(
        "all: SRepr less SWA + LA",
        "+0.50",
        gain(SREPR, LA),
        "+.2f",
        ("not below 0", at_least, 0),
        ("further: at least +0.5", at_least, 0.5),
    )
    single = [row for row in rows if row[0] != "swag"]
    paper = [row for row in single if row[1] not in OTHERS and not row[2]]
    for name in ("nll", "ece"):
        for words, among in (("the paper's rows", paper), ("all of one pass", single)):
            best = min(among, key=lambda row: mean(rows[row], name))
            holds = mean(rows[best], name) == mean(rows[SREPR], name)
            body.append(
                [
                    f"{name.upper()}: the lowest of {words}",
                    "SWA + SRepr",
                    "SWA + SRepr" if among is paper else "–",
                    title(best),
                    "yes" if holds else "no",
                ]
            )
    claim(
        "rank correlation of class count and dispersion, probability space",
        "negative",
        spearman["probability"],
        "+.2f",
        ("at most -0.5", at_most, -0.5),
    )
    return markdown(["claim", "wanted", "paper", "found", "holds"], body)
