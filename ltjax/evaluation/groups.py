"""From a tally to the figures of a result's row, on the host in double precision.

`groups` maps the name of a group to a boolean per class, [C].
"""

import numpy as np


def summary(tally, groups):
    """{"acc": {each group, "all"}, "nll", "ece", "brier"} of a tally.

    Accuracies are in percent: of a group the mean over its classes with test images of
    the accuracy per class, of all the share of right images. nll is in nats, ece a
    fraction, brier a sum over classes, all three means over images. None where there
    is no image to judge by.

    >>> import numpy as np
    >>> from ltjax.evaluation.groups import summary
    >>> from ltjax.evaluation.tally import tally
    >>> log_probs = np.log([[0.9, 0.1], [0.6, 0.4]])
    >>> total, few = tally(log_probs, [0, 1], [1, 1]), np.array([False, True])
    >>> summary(total, {"few": few})["acc"]
    {'few': 0.0, 'all': 50.0}
    """
    images = _total(tally.count)
    per_class = per_class_accuracy(tally)
    acc = {
        name: _percent(per_class[_members(tally, mask)])
        for name, mask in groups.items()
    }
    right = _ratio(_total(tally.correct), images)
    everything = np.ones(len(per_class), bool)
    return {
        "acc": {**acc, "all": None if right is None else 100 * right},
        "nll": _ratio(_total(tally.nll), images),
        "ece": _ece(tally, everything),
        "brier": _ratio(_total(tally.brier), images),
    }


def group_ece(tally, groups):
    """Expected calibration error over the images of each group, None for no image."""
    return {name: _ece(tally, _members(tally, mask)) for name, mask in groups.items()}


def balanced(tally):
    """{"acc", "nll"}: means over classes of what each class's images come to.

    As of a test set that has as many images of every class: an accuracy in percent, and
    nats. Classes without images have no voice; None where none has any.
    """
    count, nll = (np.asarray(x, np.float64) for x in (tally.count, tally.nll))
    present = count > 0
    each = nll[present] / count[present]
    accuracy = _percent(per_class_accuracy(tally))
    return {"acc": accuracy, "nll": float(each.mean()) if present.any() else None}


def per_class_accuracy(tally):
    """Share of right images per class [C], in 0..1, NaN for a class without images."""
    count, correct = (np.asarray(x, np.float64) for x in (tally.count, tally.correct))
    return np.divide(correct, count, out=np.full_like(count, np.nan), where=count > 0)


def _ece(tally, members):
    count, correct, confidence = (
        np.asarray(x, np.float64)[members].sum(0)
        for x in (tally.bin_count, tally.bin_correct, tally.bin_confidence)
    )
    return _ratio(np.abs(correct - confidence).sum(), count.sum())


def _members(tally, mask):
    mask = np.asarray(mask)
    if mask.dtype != bool or mask.shape != tally.count.shape:
        raise ValueError(
            f"a group is {mask.dtype} {mask.shape}, should be bool {tally.count.shape}"
        )
    return mask


def _percent(accuracies):
    present = accuracies[~np.isnan(accuracies)]
    return float(100 * present.mean()) if present.size else None


def _total(values):
    return np.asarray(values, np.float64).sum()


def _ratio(total, count):
    return float(total / count) if count else None
