"""What is taken for what: between groups of classes, and class by class."""

import numpy as np


def between(labels, predicted, groups):
    """Where the images of each group go: {group: {"right", each group}}, shares.

    labels, predicted [N]; `groups` maps names to masks, bool [C], that part the
    classes. `right` is the share of right images, the others those of images taken for
    another class of that group. A group without images is left out.
    """
    right = labels == predicted
    found = {}
    for name, own in groups.items():
        mine = own[labels]
        if mine.any():
            found[name] = {"right": float(right[mine].mean())} | {
                other: float((there[predicted] & ~right)[mine].mean())
                for other, there in groups.items()
            }
    return found


def pairs(labels, predicted, most):
    """The most frequent mistakes: (label, predicted, images, share of the label's).

    labels, predicted [N]. At most `most` of them, the most images first, then by label
    and prediction.
    """
    labels, predicted = (np.asarray(x, np.int64) for x in (labels, predicted))
    wrong = labels != predicted
    mistakes = np.stack([labels[wrong], predicted[wrong]], -1)
    kinds, counts = np.unique(mistakes, axis=0, return_counts=True)
    images = np.bincount(labels)
    return [
        (int(label), int(other), int(count), float(count / images[label]))
        for (label, other), count in (
            (kinds[at], counts[at]) for at in np.argsort(-counts, kind="stable")[:most]
        )
    ]
