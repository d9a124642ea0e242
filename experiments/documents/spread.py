"""The paper's Figure 3 from its result lines: a picture, and its figures in a table."""

import hashlib
import itertools
import json

import numpy as np
from matplotlib import pyplot
from scipy import stats
from tabular import markdown

from ltjax.data import longtail

SPACES = {
    "representation": "representation space",
    "relative": "the same, relative to the mean's square",
    "probability": "probability space",
}


def mean_spearman(by_seed):
    """The rank correlation of count and dispersion per space, the mean over seeds."""
    found = [lines[0]["spearman"] for lines in by_seed.values()]
    return {space: float(np.mean([f[space] for f in found])) for space in found[0]}


def table(by_seed):
    """Dispersion per group of classes, and its rank correlations, for every space."""
    groups = longtail.groups(counts_of(by_seed))
    body = []
    for space, name in SPACES.items():
        values = dispersions(by_seed, space)
        means = [
            f"{np.nanmean(values[:, group]):#.3g}" if group.any() else "–"
            for group in groups.values()
        ]
        each = [lines[0]["spearman"][space] for lines in by_seed.values()]
        alike = [
            stats.spearmanr(*two, nan_policy="omit").statistic
            for two in itertools.combinations(values, 2)
        ]
        body.append(
            [
                name,
                *means,
                ", ".join(f"{one:+.2f}" for one in each),
                f"{np.mean(alike):+.2f}" if alike else "–",
            ]
        )
    head = ["dispersion", *groups, "with class count, each seed", "between seeds"]
    return markdown(head, body)


def counts_of(by_seed):
    """Training images per class [C], the same for every seed."""
    return np.array(next(iter(by_seed.values()))[0]["counts"])


def dispersions(by_seed, space):
    """The dispersion per seed and class [S, C]; NaN for a class without test images."""
    found = [lines[0]["dispersion"][space] for lines in by_seed.values()]
    return np.array(found, float)


def digest(by_seed):
    """What the picture is of, to tell whether it is of these lines."""
    return hashlib.sha256(json.dumps(by_seed).encode()).hexdigest()[:16]


def draw(by_seed, path):
    """Writes the picture, with the lines' digest in it."""
    counts = counts_of(by_seed)
    order = np.argsort(-counts, kind="stable")
    groups = longtail.groups(counts)
    width = max(1, len(counts) // 10)
    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for axis, space in zip(axes, ("representation", "probability")):
        mean = dispersions(by_seed, space)[:, order].mean(0)
        axis.plot(mean, ".", color="tab:blue", alpha=0.5, label="a class")
        smooth = np.convolve(mean, np.ones(width) / width, "valid")
        middles = np.arange(len(smooth)) + (width - 1) / 2
        if width > 1:
            name = f"mean of {width} neighbours"
            axis.plot(middles, smooth, color="tab:red", linewidth=1.8, label=name)
        for edge in np.cumsum([group.sum() for group in groups.values()])[:-1]:
            axis.axvline(edge - 0.5, color="0.7", linewidth=0.8)
        rho = mean_spearman(by_seed)[space]
        axis.set_title(f"{SPACES[space]}: rank correlation {rho:+.2f}", size=10)
        axis.set_xlabel("class, the largest first: many | medium | few")
        axis.set_ylim(bottom=0)
    axes[0].set_ylabel("dispersion of the draws,\nmean over test images and seeds")
    axes[0].legend(loc="lower right", fontsize=8)
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Source": digest(by_seed)})
    pyplot.close(figure)
