"""What refusing buys: how right the predictions are that a score is surest of.

Selective classification (El-Yaniv and Wiener, JMLR 2010; Geifman and El-Yaniv, NeurIPS
2017, arXiv:1705.08500). A score is larger where a row is surer: its confidence, less
its entropy, or less how far its draws disagree. On the host in double precision.

Images of equal score are refused in no order: every figure is its mean over all orders
of theirs, so that it does not depend on how a file is sorted.
"""

import numpy as np

COVERAGES = (0.8, 0.9, 0.95)


def risks(score, right):
    """The share that is wrong among the k surest of N images, for each k, [N].

    `score` [N] is larger where a row is surer, `right` [N] whether it is right.

    >>> from ltjax.evaluation.refusal import risks
    >>> risks([0.9, 0.8, 0.7], [True, True, False]).round(3)
    array([0.   , 0.   , 0.333])
    """
    score, right = _arrays(score, right)
    _, place, count = np.unique(-score, return_inverse=True, return_counts=True)
    wrong = np.bincount(place, ~right, len(count)) / count  # of an image of each score
    sums = np.cumsum(np.repeat(wrong, count))
    return sums / np.arange(1, len(score) + 1)


def aurc(score, right):
    """Area under the risk-coverage curve: the mean of `risks`, a fraction; lower is
    better.

    >>> from ltjax.evaluation.refusal import aurc
    >>> round(aurc([0.9, 0.8, 0.7], [True, True, False]), 3)
    0.111
    """
    return float(risks(score, right).mean())


def kept(score, coverage):
    """The weight of each image, [N], where ceil(coverage N) of the surest are kept.

    1 for those that are, 0 for those that are refused; images of the score in between
    share the places that are left.

    >>> from ltjax.evaluation.refusal import kept
    >>> kept([0.9, 0.5, 0.5, 0.1], 0.5)
    array([1. , 0.5, 0.5, 0. ])
    """
    score = np.asarray(score, np.float64)
    if not 0 < coverage <= 1:
        raise ValueError(f"coverage is {coverage}, should be above 0 and at most 1")
    wanted = int(np.ceil(round(coverage * len(score), 9)))
    if not wanted:
        return np.zeros(0)
    last = np.sort(score)[-wanted]
    above, equal = score > last, score == last
    return above + equal * (wanted - above.sum()) / equal.sum()


def figures(score, right, labels, groups):
    """What refusing by a score comes to, ready for JSON.

    `score`, `right` and `labels` are of N images, `groups` masks of the classes, bool
    [C], by name. {"aurc": {"all", each group}, "at": {"80": {"all": {"acc", "kept"},
    each group}, ...}}: of each group the area under its own curve; and, where that
    share of all images is kept whatever their group, the percent right of those that
    are, and the percent of the group's images that they are. None where there are none.
    """
    score, right = _arrays(score, right)
    labels = np.asarray(labels)
    own = {"all": np.ones(len(labels), bool)}
    own |= {name: np.asarray(mask)[labels] for name, mask in groups.items()}
    areas = {
        name: aurc(score[of], right[of]) if of.any() else None
        for name, of in own.items()
    }
    at = {}
    for coverage in COVERAGES:
        weight = kept(score, coverage)
        at[f"{100 * coverage:g}"] = {
            name: _kept_of(weight[of], right[of]) for name, of in own.items()
        }
    return {"aurc": areas, "at": at}


def _kept_of(weight, right):
    if not len(weight):
        return None
    total = weight.sum()
    share = float(100 * (weight * right).sum() / total) if total else None
    return {"acc": share, "kept": float(100 * total / len(weight))}


def auroc(score, right):
    """How often a right image has the larger score than a wrong one, ties half.

    Of strangers: `score` of both sets in a row, `right` whether each is none. A
    fraction; None where all are right, or none is.

    >>> from ltjax.evaluation.refusal import auroc
    >>> auroc([0.9, 0.8, 0.3], [True, False, False])
    1.0
    """
    score, right = _arrays(score, right)
    good, bad = int(right.sum()), int((~right).sum())
    if not (good and bad):
        return None
    _, place, count = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2)[place]  # means over those of equals
    return float((ranks[right].sum() - good * (good + 1) / 2) / (good * bad))


def false_positives(score, right, found=0.95):
    """The share of the wrong that is kept where at least `found` of the right are.

    FPR95 (Hendrycks and Gimpel, ICLR 2017, arXiv:1610.02136); None as of `auroc`.

    >>> from ltjax.evaluation.refusal import false_positives
    >>> false_positives([0.9, 0.8, 0.3], [True, False, False])
    0.0
    """
    score, right = _arrays(score, right)
    if not right.any() or right.all():
        return None
    good = np.sort(score[right])
    # The highest limit that keeps so many; those of the same score are kept, too.
    limit = good[len(good) - int(np.ceil(round(found * len(good), 9)))]
    return float((score[~right] >= limit).mean())


def _arrays(score, right):
    score, right = np.asarray(score, np.float64), np.asarray(right, bool)
    if score.shape != right.shape or score.ndim != 1:
        raise ValueError(
            f"score is {score.shape} and right {right.shape}, should be [N] both"
        )
    return score, right
