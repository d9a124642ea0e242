"""The pattern that a reproduction of the paper must show, held against the figures."""

from math import inf, ulp

from tabular import markdown, mean, title

NONE, LA, SREPR = ("swa", "none", ""), ("swa", "la", ""), ("swa", "srepr", "")
SGD, SGD_LA = ("sgd", "none", ""), ("sgd", "la", "")
# Beside the rows of the paper's table.
OTHERS = ("tau_norm", "ncm", "la_posthoc")
ABOVE = "above 0", ulp(0.0), inf
WITHIN = "within about 0.5", -0.5, 0.5


def table(rows, spearman):
    """A table of what is claimed, what the paper has, what came out, if it holds.

    `rows` are the lines of each row over seeds; `spearman` the rank correlation of
    class count and dispersion in each space.
    """
    body = []

    def gain(row, other, group="all"):
        means = mean(rows[row], "acc", group), mean(rows[other], "acc", group)
        return None if None in means else means[0] - means[1]

    def claim(text, paper, decimals, value, *bounds):
        """`bounds` are (words, lowest, highest), a further one a row of its own."""
        found = "no such class" if value is None else f"{value:{decimals}}"
        for words, lowest, highest in bounds:
            holds = value is not None and lowest <= value <= highest
            verdict = "–" if value is None else "yes" if holds else "no"
            body.append([text, words, paper, found, verdict])

    ten = "at least +10", 10, inf
    for text, paper, *of, group, bound in (
        ("few: SGD + LA less SGD", "+21.15", SGD_LA, SGD, "few", ten),
        ("few: SWA + LA less SWA", "+22.67", LA, NONE, "few", ten),
        ("all: SWA + LA less SGD + LA", "+0.65", LA, SGD_LA, "all", ABOVE),
        ("all: SWA less SGD", "+0.17", NONE, SGD, "all", WITHIN),
    ):
        claim(text, paper, "+.2f", gain(*of, group), bound)
    for name, paper, decimals, bound, further in (
        ("ece", "0.48", 2, 0.5, 0.35),
        ("nll", "0.966", 3, 0.97, 0.92),
    ):
        claim(
            f"{name.upper()}: SRepr over SWA + LA",
            paper,
            f".{decimals}f",
            mean(rows[SREPR], name) / mean(rows[LA], name),
            (f"at most {bound}", -inf, bound),
            (f"further: at most {further}", -inf, further),
        )
    claim(
        "all: SRepr less SWA + LA",
        "+0.50",
        "+.2f",
        gain(SREPR, LA),
        ("not below 0", 0, inf),
        ("further: at least +0.5", 0.5, inf),
    )
    single = [row for row in rows if row[0] != "swag"]
    paper = [row for row in single if row[1] not in OTHERS and not row[2]]
    ours = "SWA + SRepr"
    for name in ("nll", "ece"):
        for words, among in (("the paper's rows", paper), ("all of one pass", single)):
            best = min(among, key=lambda row: mean(rows[row], name))
            holds = mean(rows[best], name) == mean(rows[SREPR], name)
            theirs = ours if among is paper else "–"
            text = f"{name.upper()}: the lowest of {words}"
            verdict = "yes" if holds else "no"
            body.append([text, ours, theirs, title(best), verdict])
    claim(
        "rank correlation of class count and dispersion, probability space",
        "negative",
        "+.2f",
        spearman["probability"],
        ("at most -0.5", -inf, -0.5),
    )
    return markdown(["claim", "wanted", "paper", "found", "holds"], body)
