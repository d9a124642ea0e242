"""Which images test, of a set that comes without a split, and which are held out."""

import hashlib

import numpy as np

from ltjax.data.groups import drawn, numbered
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


def by_groups(labels, classes, per_class, groups, seed=0):
    """Mask of the test images, bool [N]: whole groups, near to `affordable` many.

    At most half of a class, and all but two of its images, are tested. `groups` are
    int [N], see `groups.drawn`.
    """
    counts = class_counts(labels, classes)
    wanted, most = affordable(counts, per_class), affordable(counts, len(labels))
    return drawn(labels, groups, classes, wanted, most, seed)


# A class of fewer images spares none of them.
LEAST = 5


def spare(counts, share):
    """Images that each class spares, int [C]: ceil(share n) of n, from `LEAST` on.

    `share` is in 0..1/2, so that a class keeps two images at least. Of more than 0
    every class spares one if it can: the rarest would have no voice otherwise.

    >>> from ltjax.data.partition import spare
    >>> spare([500, 30, 10, 5, 4], 0.1)
    array([50,  3,  1,  1,  0])
    """
    counts = np.asarray(counts)
    # A product such as 0.1 * 30 may lie a little above what it stands for.
    wanted = np.ceil(share * counts - 1e-9).astype(np.int64)
    return np.where(counts >= LEAST, wanted, 0)


def spared(labels, classes, share, digests, seed=0):
    """Mask of the images that are held out of all training, bool [N]: `spare` a class.

    A function of the set of images, not of their order: of each class those whose
    digest, hashed with the seed, comes first. Images that occur more than once train,
    so that none is both; a class of such ones may spare fewer.
    """
    labels = np.asarray(labels)
    wanted = spare(class_counts(labels, classes), share)
    salt = f"{seed} ".encode()
    lots = np.array([hashlib.sha256(salt + each).digest() for each in digests], object)
    free, held = ~repeated(digests), np.zeros(len(labels), bool)
    for name in np.flatnonzero(wanted):
        rows = np.flatnonzero((labels == name) & free)
        held[rows[np.argsort(lots[rows])][: wanted[name]]] = True
    return held


def spared_groups(labels, classes, share, digests, groups, seed=0):
    """The same of whole groups, int [N], of which equal images make one."""
    counts = class_counts(labels, classes)
    wanted, most = spare(counts, share), np.where(counts >= LEAST, counts // 2, 0)
    joined = numbered(groups, digests)
    return drawn(labels, joined, classes, wanted, most, seed)


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
