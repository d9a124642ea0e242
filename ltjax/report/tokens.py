"""How far apart CLS and DIST are: their angle, and the rank of their features."""

import numpy as np

from ltjax.report import canvas, diagrams, markup

_NAMES = "CLS", "DIST"


def apart(run):
    """Of each backbone of a `results.Results`, cosines by group and ranks by block."""
    told = run.classes.get("tokens", {})
    if not told:
        return
    groups = {**run.groups, "all": np.ones(run.counts.size, bool)}
    yield markup.paragraph(
        "The cosine of the angle between the features of both tokens, its mean over "
        "the test images of a class and then over classes: at 1 they say the same."
    )
    yield markup.table(
        "Cosine of CLS and DIST",
        ("backbone", *groups),
        [[_cosines(name, found["cosine"], groups) for name, found in told.items()]],
    )
    ranked = {name: found["ranks"] for name, found in told.items() if "ranks" in found}
    if ranked:
        yield markup.figure(
            "How many directions hold 99 % of the variance of a token's features, "
            "after each block.",
            *(diagram(name, ranks) for name, ranks in ranked.items()),
        )


def _cosines(name, cosines, groups):
    known = np.array([np.nan if cosine is None else cosine for cosine in cosines])
    parts = [known[mask & ~np.isnan(known)] for mask in groups.values()]
    return name.upper(), *(f"{x.mean():.3f}" if x.size else "-" for x in parts)


def diagram(name, ranks):
    """The rank of each token after every block."""
    with canvas.panel(2.4) as figure:
        axes = figure.subplots()
        figure.subplots_adjust(0.15, 0.18, 0.965, 0.86)
        at = np.arange(1, len(ranks[0]) + 1)
        for token, values, line in zip(_NAMES, ranks, diagrams.LINES[1:]):
            axes.plot(at, values, label=token, **line)
        axes.set(xlabel="block", ylabel=f"rank, {name.upper()}", ylim=(0, None))
        axes.legend(ncols=2, loc="lower left", bbox_to_anchor=(-0.02, 0.98))
        told = "; ".join(
            f"{token} {', '.join(map(str, values))}"
            for token, values in zip(_NAMES, ranks)
        )
        return canvas.svg(figure, f"rank by block of {name.upper()}: {told}")
