"""Diagrams from arrays, each a small SVG.

`curves` and the like map the name of a row, as it is read, to its figures. Rows come in
the order of `LINES`: colours of Okabe and Ito, which colour-blind eyes tell apart, and
markers and dashes for those who print in grey. Nothing of a user's is drawn: names of
classes may hold what no font has.
"""

import numpy as np
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from ltjax.report import canvas
from ltjax.report.canvas import INK, SOFT

LINES = (
    {"color": "#6e7781", "linestyle": ":", "marker": "o"},
    {"color": "#d55e00", "linestyle": "--", "marker": "s"},
    {"color": "#0072b2", "linestyle": "-", "marker": "^"},
    {"color": "#009e73", "linestyle": "-.", "marker": "D"},
    {"color": "#cc79a7", "linestyle": (0, (5, 1)), "marker": "v"},
)
MOST_LINES = len(LINES)
RIGHT = "#0072b2"
WRONG = {"many": "#a84b08", "medium": "#e69f00", "few": "#f6dd9a"}
ENOUGH = 10  # images in a bin that a line goes through
_FEW_CLASSES = 30  # up to so many, classes are joined by lines
_VECTORS = 1000  # more marks than these become pixels


def per_class(curves, counts, groups, ylabel="accuracy, %", ylim=None, spread=None):
    """Figures [C] per class, from the most training images to the fewest.

    NaN for classes without one. `groups` are masks, bool [C]. Of many classes the lines
    are means over neighbours, a tenth of all. `spread` maps names to deviations [C].
    """
    order = np.argsort(-counts, kind="stable")
    place = np.arange(1, len(order) + 1)
    with canvas.wide(3.8) as figure:
        axes, below = figure.subplots(
            2, 1, sharex=True, gridspec_kw={"height_ratios": (3.2, 1)}
        )
        figure.subplots_adjust(0.125, 0.12, 0.975, 0.89, hspace=0.1)
        for (name, values), line in zip(curves.items(), LINES):
            values = np.asarray(values, float)[order]
            middle = _class_line(axes, place, values, name, line)
            if spread and name in spread:
                width = smooth(np.asarray(spread[name], float)[order], _window(place))
                axes.fill_between(
                    place,
                    middle - width,
                    middle + width,
                    color=line["color"],
                    alpha=0.15,
                    linewidth=0,
                )
        axes.set(ylabel=ylabel, ylim=ylim)
        axes.legend(
            ncols=3, loc="lower left", bbox_to_anchor=(-0.01, 1.06), fontsize=8.5
        )
        _counts(below, place, counts[order])
        for each in (axes, below):
            each.grid(visible=False, axis="x")
        _mark_groups(axes, below, {n: mask[order] for n, mask in groups.items()})
        figure.align_ylabels()
        return canvas.svg(
            figure,
            f"{ylabel} of each class, of {', '.join(curves)}, sorted by training "
            "images, above the number of these",
        )


def _class_line(axes, place, values, name, line):
    """Draws the values of sorted classes, and returns the line among them."""
    if len(place) <= _FEW_CLASSES:
        axes.plot(place, values, label=name, **line)
        return values
    style = {**line, "linestyle": "", "markersize": 2.2, "markeredgewidth": 0}
    pixels = len(place) > _VECTORS
    axes.plot(place, values, alpha=0.45, rasterized=pixels, **style)
    middle = smooth(values, _window(place))
    style = {**line, "marker": "", "linewidth": 2}
    axes.plot(place, middle, label=name, **style)
    return middle


def _window(place):
    return len(place) // 10 if len(place) > _FEW_CLASSES else 1


def smooth(values, width):
    """Means over `width` neighbours, NaN left out; fewer at the ends."""
    known = ~np.isnan(values)
    window = np.ones(width)
    sums = np.convolve(np.where(known, values, 0), window)
    numbers = np.convolve(known, window)
    means = np.divide(sums, numbers, out=np.full(len(sums), np.nan), where=numbers > 0)
    return means[(width - 1) // 2 :][: len(values)]


def _counts(axes, place, counts):
    """The long tail itself, on a logarithmic scale that has a place for 0."""
    axes.fill_between(place, counts, step="mid", color="#c9d1d9", linewidth=0)
    axes.plot(place, counts, color=SOFT, drawstyle="steps-mid")
    axes.set_yscale("symlog", linthresh=1, linscale=0.3)
    axes.set_yticks([10**power for power in range(7) if 10**power <= counts.max()])
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.minorticks_off()
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(
        xlim=(0.5, len(place) + 0.5),
        ylim=(0, 1.4 * max(counts.max(), 2)),
        xlabel="classes, from the most training images to the fewest",
        ylabel="images",
    )


def _mark_groups(axes, below, groups):
    """Lines between the groups of sorted classes, and their names above."""
    for name, mask in groups.items():
        if not mask.any():
            continue
        first, last = mask.argmax(), mask.size - mask[::-1].argmax()
        axes.text(
            (first + last + 1) / 2,
            1.015,
            f"{name} ({mask.sum()})",
            transform=axes.get_xaxis_transform(),
            ha="center",
            va="bottom",
            fontsize=8.5,
            color=SOFT,
        )
        if first:
            for each in (axes, below):
                each.axvline(first + 0.5, color=SOFT, linewidth=0.8)


def confusion(title, shares):
    """Where the images of each group go: {group: {"right", each group}}, shares."""
    colors = {"right": RIGHT, **WRONG}
    with canvas.panel(1.9) as figure:
        axes = figure.subplots()
        figure.subplots_adjust(0.19, 0.23, 0.965, 0.74)
        for at, parts in enumerate(shares.values()):
            left = 0.0
            for kind, share in parts.items():
                color, width = colors[kind], 100 * share
                axes.barh(at, width, left=left, color=color, height=0.75, edgecolor="w")
                if share >= 0.07:
                    ink = "white" if kind in ("right", "many") else INK
                    middle = {"ha": "center", "va": "center", "color": ink}
                    axes.text(left + width / 2, at, f"{width:.0f}", **middle)
                left += width
        axes.set_title(title, y=1.19)
        axes.set_yticks(range(len(shares)), shares)
        axes.invert_yaxis()
        axes.set(xlim=(0, 100), xlabel="test images of the group, %")
        axes.grid(visible=False)
        names = {kind: f"to {kind}" for kind in WRONG} | {"right": "right"}
        kinds = next(iter(shares.values()))
        axes.legend(
            [Patch(color=colors[kind]) for kind in kinds],
            [names[kind] for kind in kinds],
            ncols=4,
            loc="lower left",
            bbox_to_anchor=(-0.03, 0.97),
            handlelength=0.9,
            columnspacing=0.7,
        )
        told = "; ".join(
            f"{group}: "
            + ", ".join(f"{100 * parts[kind]:.0f} % {names[kind]}" for kind in parts)
            for group, parts in shares.items()
        )
        return canvas.svg(figure, f"Where test images go, {title}: {told}")


def dispersion(title, values, counts, groups):
    """How far the draws disagree [C] against the training images of classes."""
    with canvas.panel(2.6) as figure:
        axes = figure.subplots()
        figure.subplots_adjust(0.16, 0.165, 0.965, 0.87)
        # A class without training images has a place at the left.
        x = np.maximum(counts, 0.5)
        style = {"color": RIGHT, "marker": "o", "linestyle": "", "markeredgewidth": 0}
        axes.plot(x, values, alpha=0.55, rasterized=len(x) > _VECTORS, **style)
        color = LINES[1]["color"]
        for mask in groups.values():
            of = mask & ~np.isnan(values)
            if of.any():
                ends = x[of].min() / 1.08, x[of].max() * 1.08
                axes.plot(ends, 2 * [values[of].mean()], color=color, linewidth=2)
        axes.plot([], [], color=color, linewidth=2, label="mean of the group")
        axes.legend(loc="best")
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter("")
        axes.set(title=title, xlabel="training images of the class", ylim=(0, None))
        # In thousandths, as most are.
        axes.yaxis.set_major_formatter(lambda value, _: f"{1000 * value:g}")
        axes.set_ylabel("squared spread × 1000")
        return canvas.svg(figure, f"By training images: {title}")


def learning(ylabel, curves, start):
    """A quantity after each epoch, {name: values}; `start` epochs before averaging.

    None where nothing is averaged.
    """
    with canvas.panel(2.4) as figure:
        axes = figure.subplots()
        figure.subplots_adjust(0.15, 0.18, 0.965, 0.9)
        for (name, values), line in zip(curves.items(), LINES[1:]):
            style = {**line, "marker": ""}
            axes.plot(np.arange(1, len(values) + 1), values, label=name, **style)
        style = {"color": SOFT, "linestyle": ":", "label": "averaging starts"}
        if start is not None:
            axes.axvline(start + 0.5, **style)
        # Above the line where averaging starts, which is in the way of "best".
        place = {"loc": "lower left", "bbox_to_anchor": (-0.02, 0.98)}
        axes.legend(ncols=3, columnspacing=1.2, **place)
        axes.set(xlabel="epoch", ylabel=ylabel, ylim=(0, None), xlim=(0, None))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        return canvas.svg(figure, f"{ylabel} after each epoch of {', '.join(curves)}")
