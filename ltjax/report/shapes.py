"""The activations of a run that learnt their shape, layer by layer."""

import re

import numpy as np

from ltjax.report import canvas, diagrams, markup

# What of a place tells its kind: the first that is in it.
_KINDS = {
    "gate/places": "gates of places",
    "gate": "gates of channels",
    "": "layers",
}
_SYMBOLS = {"kappa": "κ, gain", "lam": "λ, asymmetry"}


def learnt(run):
    """A figure for each backbone of a `results.Results`, of kappa and lambda."""
    for backbone, places in run.classes.get("activations", {}).items():
        yield markup.figure(
            f"{backbone.upper()}: what activations learnt, from the first layer to the "
            "last; bars from the least to the greatest channel where each has its own. "
            "At λ = 1 they are logistic, at 0 Gumbel's; below its floor λ acts as it.",
            *(diagram(name, _by_kind(places, name)) for name in _SYMBOLS),
        )


def _by_kind(places, name):
    """{kind: [values of a place, ...]} in the order of layers."""
    found = {}
    for place in sorted(places, key=_depth):
        kind = next(kind for part, kind in _KINDS.items() if part in place)
        found.setdefault(kind, []).append(places[place][name])
    return found


def _depth(place):
    """Numbers in names count as numbers: the tenth block is after the ninth."""
    return [(not part.isdigit(), part.zfill(9)) for part in re.split(r"(\d+)", place)]


def diagram(name, values):
    """One quantity of every place, {kind: [its values, ...]}."""
    with canvas.panel(2.4) as figure:
        axes = figure.subplots()
        figure.subplots_adjust(0.15, 0.18, 0.965, 0.86)
        for (kind, every), line in zip(values.items(), diagrams.LINES[1:]):
            # Each kind over the whole depth of the network.
            at = (np.arange(len(every)) + 0.5) / len(every)
            middle = np.array([np.mean(each) for each in every])
            ends = np.abs([(min(each), max(each)) for each in every] - middle[:, None])
            axes.errorbar(at, middle, ends.T, label=kind, elinewidth=0.8, **line)
        axes.set(xlim=(0, 1), xlabel="depth", ylabel=_SYMBOLS[name])
        axes.set_xticks((0, 1), ("first", "last"))
        axes.legend(
            ncols=3, columnspacing=1.2, loc="lower left", bbox_to_anchor=(-0.02, 0.98)
        )
        told = "; ".join(
            f"{kind} {min(map(min, every)):.2f} to {max(map(max, every)):.2f}"
            for kind, every in values.items()
        )
        return canvas.svg(figure, f"{_SYMBOLS[name]} by depth: {told}")
