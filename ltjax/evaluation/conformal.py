"""Conformal sets: as many labels as it takes to hold the true one that often.

Split conformal prediction. A label's score is 1 - p(label), that of least ambiguous
sets (Sadinle, Lei and Wasserman, JASA 2019, arXiv:1609.00451); kept is -log p, which
has the same order and does not round to 1. Where the probabilities are right, no other
sets of that coverage per class have fewer labels on average, and nothing is drawn: an
image has the same set every time. What adaptive sets (Romano, Sesia and Candes, 2020,
arXiv:2006.02544) are preferred for, that coverage does not drop where images are hard,
is had here by a threshold for each class (Vovk, 2012, arXiv:1209.2673), which holds for
any shares of the classes in deployment.

What is guaranteed is a mean over calibration sets: a new image of a class with its own
threshold is covered at least as often as asked for. On the host, in double precision.
"""

import math
from fractions import Fraction
from typing import NamedTuple

import numpy as np

_AT_ONCE = 10**8  # numbers in double precision, copied for every split


class Thresholds(NamedTuple):
    """The highest score of a label that is in the set, for each class."""

    score: np.ndarray  # float64 [C], -log p in nats; infinite: always in
    pool: tuple[str, ...]  # [C], whose images it is from: "class", a group, or "all"


def needed(coverage):
    """The fewest calibration images that can give a coverage.

    1 / (1 - coverage) - 1, rounded up: 9 for 0.9, 99 for 0.99.
    """
    return math.ceil(1 / (1 - _exact(coverage))) - 1


def measurable(shape, coverage):
    """Whether `split_coverage` can tell something of log_probs of a shape (N, C).

    Half of the images have to be `needed` ones, and all numbers to be held at once.
    """
    return shape[0] // 2 >= needed(coverage) and math.prod(shape) <= _AT_ONCE


def threshold(scores, coverage):
    """The ceil((n + 1) coverage)-th smallest of n scores; infinite if n is too few.

    One more, exchangeable score is at most that with a probability of at least
    `coverage` and, without ties, less than `coverage + 1 / (n + 1)`.
    """
    scores = np.sort(np.asarray(scores, np.float64))
    rank = math.ceil((len(scores) + 1) * _exact(coverage))
    return float(scores[rank - 1]) if rank <= len(scores) else math.inf


def thresholds(log_probs, labels, groups, coverage):
    """The `Thresholds` from calibration images, log_probs [N, C] and labels [N].

    `groups` maps names to masks of classes, bool [C]. A class with `needed` images has
    the threshold of these. The other classes of a group have that of all their images
    together, where these are as many; so they are covered together. What is left has
    the threshold of all images of all classes, and no guarantee of its own.
    """
    log_probs, labels = _arrays(log_probs, labels)
    scores, classes = -log_probs[np.arange(len(labels)), labels], log_probs.shape[1]
    fewest, counts = needed(coverage), np.bincount(labels, minlength=classes)
    score, pool = np.full(classes, threshold(scores, coverage)), ["all"] * classes
    for name, mask in groups.items():
        members = np.asarray(mask) & (counts < fewest)
        shared = scores[members[labels]]
        if len(shared) >= fewest:
            score[members] = threshold(shared, coverage)
            for at in np.flatnonzero(members):
                pool[at] = name
    ends = np.cumsum(counts)
    by_class = np.split(scores[np.argsort(labels, kind="stable")], ends[:-1])
    for at in np.flatnonzero(counts >= fewest):
        score[at], pool[at] = threshold(by_class[at], coverage), "class"
    return Thresholds(score, tuple(pool))


def sets(log_probs, score):
    """The labels of each image's set, bool [N, C], from `Thresholds.score` [C].

    The most probable label is always in it: a set is never empty, and covers only more
    by that.
    """
    log_probs = np.asarray(log_probs, np.float64)
    inside = -log_probs <= np.asarray(score)[None]
    inside[np.arange(len(inside)), log_probs.argmax(1)] = True
    return inside


def covered(inside, labels):
    """Whether each image's set, bool [N, C], holds its label: bool [N]."""
    inside, labels = np.asarray(inside), np.asarray(labels)
    return inside[np.arange(len(labels)), labels]


def one_of_each(labels, units, seed=0):
    """Rows of one image of each class in each unit, drawn at random, in order, int [n].

    Images of a patient are not exchangeable with those of another: `units` [N] say
    which belong together, and one of each calibrates for a new unit (Dunn, Wasserman
    and Ramdas, JASA 2022, arXiv:1809.07441, their subsampling).
    """
    labels, units = np.asarray(labels), np.asarray(units)
    order = np.random.default_rng(seed).permutation(len(labels))
    pairs = np.stack([labels[order], units[order]], 1)
    _, first = np.unique(pairs, axis=0, return_index=True)
    return np.sort(order[first])


def split_coverage(
    log_probs, labels, groups, coverage, seed=0, splits=20, *, units=None
):
    """What sets are worth on images that did not calibrate them.

    Half of the images, log_probs [N, C] and labels [N], drawn anew for each of
    `splits`, calibrate the sets of the other half; with `units` [N] half of these, one
    image of a class and unit calibrating. Returns, ready for JSON, {"asked":
    the coverage, "calibration": images of a half, "splits", "groups"}, of "all" and
    every group {"coverage", "size"}: the share of images whose set holds their label
    and the mean number of labels in a set; None for a group without images. None at all
    where units leave fewer than `needed` images to calibrate with.
    """
    log_probs, labels = _arrays(log_probs, labels)
    rng, found, least = np.random.default_rng(seed), [], len(labels)
    units = np.arange(len(labels)) if units is None else np.asarray(units)
    known, unit = np.unique(units, return_inverse=True)
    for _ in range(splits):
        # Of images that are each a unit of their own, a permutation of all.
        place = np.empty(len(known), int)
        place[rng.permutation(len(known))] = np.arange(len(known))
        inside = place[unit] < len(known) // 2
        first, second = np.flatnonzero(inside), np.flatnonzero(~inside)
        if len(known) < len(labels):
            first = first[one_of_each(labels[first], unit[first], seed)]
        half = len(first)
        least = min(least, half)
        limit = thresholds(log_probs[first], labels[first], groups, coverage)
        inside = sets(log_probs[second], limit.score)
        found.append((labels[second], covered(inside, labels[second]), inside.sum(1)))
    if least < needed(coverage):
        return None
    seen, right, size = map(np.concatenate, zip(*found))

    def of(members):
        rows = np.asarray(members)[seen]
        if not rows.any():
            return None
        return {"coverage": float(right[rows].mean()), "size": float(size[rows].mean())}

    return {
        "asked": coverage,
        "calibration": half,
        "splits": splits,
        "groups": {
            "all": of(np.ones(log_probs.shape[1], bool)),
            **{name: of(members) for name, members in groups.items()},
        },
    }


def _exact(coverage):
    """The number as it is written: in binary, 1 - 0.9 is not a tenth."""
    if not 0 < coverage < 1:
        raise ValueError(f"coverage is {coverage}, should be between 0 and 1")
    return Fraction(str(float(coverage)))


def _arrays(log_probs, labels):
    log_probs, labels = np.asarray(log_probs, np.float64), np.asarray(labels)
    if log_probs.ndim != 2 or labels.shape != log_probs.shape[:1]:
        raise ValueError(
            f"log_probs are {log_probs.shape} and labels {labels.shape}, "
            "should be [N, C] and [N]"
        )
    return log_probs, labels
