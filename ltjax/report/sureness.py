"""Diagrams of how sure a row is, and whether it is right, each a small SVG."""

import numpy as np
from matplotlib.ticker import MaxNLocator

from ltjax.report import canvas
from ltjax.report.canvas import INK, SOFT
from ltjax.report.diagrams import ENOUGH, LINES, RIGHT, WRONG


def reliability(title, bins):
    """Accuracy against confidence, over how many images have it.

    `bins` are `evaluation.reliability.Bins`, by a name that may tell the ECE.
    """
    with canvas.panel(4.2) as figure:
        axes, below = figure.subplots(
            2, 1, sharex=True, gridspec_kw={"height_ratios": (3.4, 1)}
        )
        figure.subplots_adjust(0.155, 0.102, 0.965, 0.855, hspace=0.09)
        axes.plot((0, 100), (0, 100), color=SOFT, linewidth=0.8)
        # The last rows of three, whose colours they keep.
        for (name, of), line in zip(bins.items(), LINES[3 - len(bins) : 3]):
            share = of.count / of.count.sum()
            x, y = 100 * of.mean_confidence, 100 * of.accuracy
            color = line["color"]
            axes.vlines(x, *(100 * of.interval), color=color, alpha=0.35, linewidth=1)
            # Between a few images a line would show what is chance.
            joined = np.where(of.count >= ENOUGH, y, np.nan)
            style = {"color": color, "linestyle": line["linestyle"]}
            axes.plot(x, joined, **style)
            # As large as there are images, so that rare ones weigh little in the eye;
            # whole ones at 0 and 100 %, too.
            mark = {"marker": line["marker"], "linewidth": 0, "clip_on": False}
            axes.scatter(x, y, s=6 + 90 * share, color=color, **mark)
            axes.plot([], [], label=name, **line)
            edges = np.linspace(0, 100, len(share) + 1)
            below.stairs(100 * share, edges, linewidth=1.2, **style)
        # Above, as marks and intervals may be anywhere.
        axes.set_title(title, y=1.13)
        axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 0.99))
        axes.set(xlim=(0, 101), ylim=(0, 101), ylabel="right, %")
        below.set(ylabel="images, %", xlabel="confidence, %", ylim=(0, None))
        below.yaxis.set_major_locator(MaxNLocator(2))
        figure.align_ylabels()
        return canvas.svg(figure, f"Reliability diagram, {title}: {'; '.join(bins)}")


def confidence(title, bins):
    """How many images have which confidence, and how many of them are right."""
    with canvas.panel(2.5) as figure:
        axes = figure.subplots()
        figure.subplots_adjust(0.145, 0.17, 0.965, 0.75)
        total = bins.count.sum()
        right, wrong = 100 * bins.right / total, 100 * (bins.count - bins.right) / total
        width = 100 / len(right)
        left = width * np.arange(len(right))
        style = {
            "width": width,
            "align": "edge",
            "edgecolor": "white",
            "linewidth": 0.5,
        }
        axes.bar(left, right, color=RIGHT, label="right", **style)
        style |= {"color": WRONG["medium"], "hatch": "////", "label": "wrong"}
        axes.bar(left, wrong, bottom=right, **style)
        told = [title]
        for name, part, dashes in (
            ("accuracy", bins.right, "-"),
            ("mean confidence", bins.confidence, (0, (2, 1))),
        ):
            percent = 100 * part.sum() / total
            told.append(f"{name} {percent:.1f} %")
            style = {"color": INK, "linewidth": 1.2, "linestyle": dashes}
            axes.axvline(percent, label=told[-1], **style)
        axes.set_title(title, y=1.22)
        axes.legend(ncols=2, loc="lower left", bbox_to_anchor=(-0.02, 0.98))
        axes.set(xlim=(0, 100), xlabel="confidence, %", ylabel="images, %")
        axes.grid(visible=False, axis="x")
        words = f"Histogram of confidences, right and wrong: {', '.join(told)}"
        return canvas.svg(figure, words)


def risk(title, curves):
    """Wrong predictions among those kept, by the share kept: {name: risks [N]}."""
    with canvas.panel(2.6) as figure:
        axes = figure.subplots()
        figure.subplots_adjust(0.15, 0.17, 0.965, 0.8)
        for (name, values), line in zip(curves.items(), LINES[1:]):
            count = len(values)
            # The first few of the curve are chance; beyond a thousand, none is seen.
            at = np.unique(
                np.linspace(min(ENOUGH, count) - 1, count - 1, 500, dtype=int)
            )
            style = {**line, "marker": ""}
            axes.plot(100 * (at + 1) / count, 100 * values[at], label=name, **style)
        axes.set_title(title, y=1.14)
        tight = {"handlelength": 1.5, "columnspacing": 0.9, "handletextpad": 0.4}
        place = {"loc": "lower left", "bbox_to_anchor": (-0.03, 0.98)}
        axes.legend(ncols=3, **place, **tight)
        axes.set(xlim=(0, 100), ylim=(0, None))
        axes.set(xlabel="images kept, the surest first, %", ylabel="wrong, %")
        return canvas.svg(figure, f"Risk by coverage, {title}: {', '.join(curves)}")
