"""Long-tailed profiles, the subset that follows them, and the groups of classes.

Profile: Cui et al., CVPR 2019 (arXiv:1901.05555). Draw of the images: Cao et al.,
NeurIPS 2019 (arXiv:1906.07413). All NumPy; nothing here is traced.
"""

import math

import numpy as np

from ltjax.mistake import Mistake

# More are no class numbers; the counts would fill the memory.
MOST_CLASSES = 1_000_000
# Up to it every count is a float64, in which the profile is worked out.
_MOST_IMAGES = 2**53


def exponential_counts(classes, largest, imbalance_factor):
    """Images per class of the exponential profile, int [C].

    n_c = int(largest * (1 / imbalance_factor)^(c / (C - 1))) in float64, as published:
    500 and 100 give the 10,847 images of CIFAR-100-LT. One class keeps `largest`.

    >>> from ltjax.data.longtail import exponential_counts
    >>> exponential_counts(classes=5, largest=100, imbalance_factor=100)
    array([100,  31,  10,   3,   1])
    """
    if not 1 <= classes <= MOST_CLASSES:
        raise Mistake(f"classes is {classes}, wanted 1..{MOST_CLASSES}")
    if not 0 <= largest <= _MOST_IMAGES:
        raise Mistake(f"largest class count is {largest}, wanted 0..2^53")
    _check_factor(imbalance_factor)
    position = np.arange(classes) / max(classes - 1, 1)
    return (largest * (1 / imbalance_factor) ** position).astype(np.int64)


def class_counts(labels, classes):
    """Images per class, int [C]. Labels are integers [N] in 0..C-1."""
    labels = np.asarray(labels)
    if labels.size and labels.dtype.kind not in "iu":
        raise Mistake(f"labels are {labels.dtype}, wanted integers")
    outside = (labels < 0) | (labels >= classes)
    if outside.any():
        row = int(outside.argmax())
        raise Mistake(f"label {labels[row]} in row {row}, wanted 0..{classes - 1}")
    return np.bincount(labels.astype(np.int64), minlength=classes)


def subset(labels, counts, seed=0):
    """Rows of the long-tailed subset, int [sum(counts)], class after class.

    The draw of Cao et al. bit for bit: of each class the first `counts[c]` of its
    `ranks` are kept. A smaller profile is therefore always part of a larger one.

    >>> import numpy as np
    >>> from ltjax.data.longtail import subset
    >>> labels = np.array([0, 1, 0, 1, 0, 1])
    >>> rows = subset(labels, [3, 1])
    >>> labels[rows]
    array([0, 0, 0, 1])
    """
    counts = np.asarray(counts)
    rank = ranks(labels, len(counts), seed)
    return _first_ranked(labels, rank, counts)


def ranks(labels, classes, seed=0):
    """The position of every row in the draw of its class, int [N], from 0.

    The draw of Cao et al.: one legacy generator shuffles the rows of class 0, 1, ... in
    turn.

    >>> import numpy as np
    >>> from ltjax.data.longtail import ranks
    >>> ranks(np.array([0, 1, 0, 1, 0, 1]), classes=2)
    array([2, 1, 1, 2, 0, 0])
    """
    found = class_counts(labels, classes)
    generator = np.random.RandomState(seed)
    rank = np.empty(len(labels), np.int64)
    # A stable sort lists every class's rows in ascending order, in one pass.
    for rows in np.split(np.argsort(labels, kind="stable"), np.cumsum(found)[:-1]):
        generator.shuffle(rows)
        rank[rows] = np.arange(len(rows))
    return rank


def in_order(labels, classes):
    """The position of every row in its class, int [N], from 0: no draw at all."""
    found = class_counts(labels, classes)
    rank = np.empty(len(labels), np.int64)
    for rows in np.split(np.argsort(labels, kind="stable"), np.cumsum(found)[:-1]):
        rank[rows] = np.arange(len(rows))
    return rank


def _first_ranked(labels, rank, counts):
    """Rows of rank below their class's count, class after class, by rank."""
    labels = np.asarray(labels)
    class_counts(labels, len(counts))
    order = np.lexsort((rank, labels))
    rows = order[(rank < counts[labels])[order]]
    found = class_counts(labels[rows], len(counts))
    short = found < counts
    if short.any():
        name = int(short.argmax())
        raise Mistake(f"class {name} has {found[name]} images, wanted {counts[name]}")
    return rows


def groups(counts):
    """Masks, bool [C] each, by training images: many > 100, medium 20..100, few < 20.

    A class without training images is few.

    >>> from ltjax.data.longtail import groups
    >>> groups([500, 20, 5])["few"]
    array([False, False,  True])
    """
    counts = np.asarray(counts)
    many, few = counts > 100, counts < 20
    return {"many": many, "medium": ~many & ~few, "few": few}


def tailed(split, classes, imbalance_factor, largest=None, seed=0):
    """The training split with the exponential profile of `imbalance_factor`.

    Its rows `kept`, in their order; all of them are the split itself.
    """
    rows = kept(split, classes, imbalance_factor, largest, seed)
    return split if len(rows) == len(split.label) else taken(split, rows)


def kept(split, classes, imbalance_factor, largest=None, seed=0):
    """Rows of the training split that have the profile of `imbalance_factor`, int [n].

    None keeps all as they are, and so does a split that already has the profile.
    `largest` is the size of class 0; without it, the split must be balanced (largest
    class at most twice the smallest) and its smallest class sets the size, so that
    every class can supply the profile. A set with another tail is refused. Which images
    are kept, `split.rank` says, or without it the draw of `seed`.
    """
    everything = np.arange(len(split.label))
    if imbalance_factor is None:
        return everything
    _check_factor(imbalance_factor)
    if largest is not None and largest < 1:
        raise Mistake(f"largest class count is {largest}, wanted 1 or more")
    found = class_counts(split.label, classes)
    top = found.max() if largest is None else largest
    wanted = exponential_counts(classes, top, imbalance_factor)
    if (found == wanted).all():
        return everything
    rank = _rank(split, classes, seed)
    profile = f"imbalance factor {imbalance_factor:g} from {top}"
    if largest is None:
        if found.max() > 2 * found.min():
            name = int((found != wanted).argmax())
            raise Mistake(
                f"class {name} has {found[name]} training images, {profile} needs "
                f"{wanted[name]}: the set has another tail; give the factor it was "
                "made with, a balanced set, or imbalance_factor None to use it as it is"
            )
        wanted = exponential_counts(classes, found.min(), imbalance_factor)
    short = found < wanted
    if short.any():
        name = int(short.argmax())
        raise Mistake(
            f"class {name} has {found[name]} training images, "
            f"{profile} needs {wanted[name]}"
        )
    return _first_ranked(split.label, rank, wanted)


def hold_out(split, classes, count, seed=0):
    """The split without the `count` images a class of the highest rank, and these.

    A long-tailed set drawn from the rest, for which `count` images fewer are left in
    every class, and the balanced held-out set choose a method without the test set.
    """
    found = class_counts(split.label, classes)
    if found.min() <= count:
        name = int(found.argmin())
        raise Mistake(
            f"class {name} has {found[name]} training images, of which {count} cannot "
            "be held out; give a whole, balanced set, or hold out fewer"
        )
    rank = _rank(split, classes, seed)
    split = split._replace(rank=rank)
    order = np.lexsort((rank, split.label))
    # Counted from the end of each class.
    left = np.cumsum(found)[split.label[order]] - np.arange(len(order))
    rest, held = (np.sort(order[rows]) for rows in (left > count, left <= count))
    return taken(split, rest), taken(split, held)


def taken(split, rows):
    """The split's rows in the order of `rows`."""
    return type(split)(*(None if part is None else part[rows] for part in split))


def _rank(split, classes, seed):
    return ranks(split.label, classes, seed) if split.rank is None else split.rank


def _check_factor(imbalance_factor):
    if not (imbalance_factor >= 1 and math.isfinite(imbalance_factor)):
        raise Mistake(
            f"imbalance_factor is {imbalance_factor}, wanted 1 (balanced) or more"
        )
