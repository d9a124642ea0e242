"""The split into training and test images of a set that comes without one."""

import hashlib

import numpy as np

from ltjax.data.longtail import class_counts


def affordable(counts, per_class):
    """Test images of each class, int [C]: `per_class` where a class can afford it.

    min(per_class, n // 2, n - 2), at least 0: at least half of a class, and at least
    two of its images, are left to train on.
    """
    counts = np.asarray(counts)
    return np.minimum(per_class, np.maximum(np.minimum(counts // 2, counts - 2), 0))


def stratified(labels, classes, per_class, seed=0, copies=None):
    """Mask of the test images, bool [N]: `affordable` many of each class at random.

    A pure function of its arguments; whoever is drawn depends on the seed and on the
    images of the same class only. `copies` [N] marks images that occur more than once:
    they train, so that no test image is also a training image.
    """
    labels = np.asarray(labels)
    wanted = affordable(class_counts(labels, classes), per_class)
    free = np.ones(len(labels), bool) if copies is None else ~np.asarray(copies)
    test = np.zeros(len(labels), bool)
    for name, count in enumerate(wanted):
        rows = np.flatnonzero((labels == name) & free)
        drawn = np.random.default_rng((seed, name)).permutation(rows)
        test[drawn[:count]] = True
    return test


def digests(images):
    """A hash of each image [N, H, W, ch]: equal for equal pixels."""
    return [hashlib.sha256(image.tobytes()).digest() for image in images]


def digests_of(split):
    """A hash of each image of a `Split`: of its file, or else of its pixels."""
    if split.file is None:
        return digests(split.image)
    return [each.tobytes() for each in split.file]


def shared(train, test):
    """How many of the hashes `test` are among `train`."""
    known = set(train)
    return sum(each in known for each in test)


def repeated(digests):
    """Mask of the digests that occur more than once, bool [N]."""
    if not len(digests):
        return np.zeros(0, bool)
    _, where, count = np.unique(
        np.array(digests, dtype=object), return_inverse=True, return_counts=True
    )
    return count[where] > 1
