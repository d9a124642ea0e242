"""Groups of images that belong together, such as those of a patient, a site or a burst.

What is learned of one image of a group is known of the others: no group may be on both
sides of a split.
"""

import hashlib
import re

import numpy as np

from ltjax.data.longtail import class_counts
from ltjax.mistake import Mistake, shown


def of_pattern(pattern, paths):
    """The name of each path's group, [N]: what a regular expression finds in the path.

    That is its first pair of parentheses or, without any, all that it matches. A path
    in which it finds nothing is a group of its own. Raises `Mistake` for what is no
    regular expression, and where it finds nothing in any.

    >>> from ltjax.data.groups import of_pattern
    >>> of_pattern("patient([0-9]+)", ["a/patient12_1.png", "b/patient12_2.png"])
    ('12', '12')
    """
    try:
        wanted = re.compile(pattern)
    except re.error as error:
        raise Mistake(
            f"data.group {pattern!r} is no regular expression: {error}; a part in "
            r"parentheses names the group, such as patient(\d+)"
        ) from error
    found = [wanted.search(path) for path in paths]
    if not any(found):
        raise Mistake(
            f"data.group {pattern!r} is found in none of the {len(paths):,} paths; the "
            f"first is {shown(paths[0])}"
        )
    # No path has a line break at its end, which keeps lone ones apart from the others.
    return tuple(
        match[min(1, wanted.groups)] or "" if match else f"{path}\n"
        for match, path in zip(found, paths)
    )


def numbered(names, digests=None):
    """The number of each image's group, int [N]: equal names have equal numbers.

    Where images are equal, of the same of the `digests` [N], their groups are one, so
    that no image is on both sides either. Numbers are in the order of the names.
    """
    names, number = np.unique(np.array(names, dtype=object), return_inverse=True)
    if digests is None:
        return number.astype(np.int32)
    root = np.arange(len(names))

    def top(at):
        while root[at] != at:
            root[at] = root[root[at]]
            at = root[at]
        return at

    seen = {}
    for at, digest in zip(number, digests):
        first, other = top(seen.setdefault(bytes(digest), at)), top(at)
        root[max(first, other)] = min(first, other)
    tops = np.array([top(at) for at in range(len(names))])
    return np.unique(tops[number], return_inverse=True)[1].astype(np.int32)


def drawn(labels, groups, classes, wanted, most, seed=0):
    """Mask of whole groups that come near to `wanted` [C] images a class, bool [N].

    From the rarest wanted class on, groups that have it are taken: of those that leave
    every class at `most` [C] the one that goes least beyond what is wanted, and of
    equal ones as a lot of the seed and of the group's images decides. A class may get
    fewer, where its groups are too large, and more, where they hold it besides.
    `labels` and `groups` are int [N].

    A function of the groups as sets of rows, not of how they are numbered.
    """
    labels, groups = np.asarray(labels), np.asarray(groups)
    wanted, most = np.asarray(wanted), np.asarray(most)
    members = {at: np.flatnonzero(groups == at) for at in np.unique(groups)}
    held = {at: class_counts(labels[rows], classes) for at, rows in members.items()}
    lots = {at: _lot(rows, seed) for at, rows in members.items()}
    order = sorted(members, key=lots.get)
    taken, chosen = np.zeros(classes, np.int64), set()
    for name in sorted(np.flatnonzero(wanted), key=lambda c: (wanted[c], c)):
        left = [at for at in order if held[at][name] and at not in chosen]
        while taken[name] < wanted[name]:
            fitting = [at for at in left if (taken + held[at] <= most).all()]
            if not fitting:
                break
            beyond = [
                np.maximum(taken + held[at] - wanted, 0).sum()
                - min(held[at][name], wanted[name] - taken[name])
                for at in fitting
            ]
            best = fitting[int(np.argmin(beyond))]
            taken = taken + held[best]
            chosen.add(best)
            left.remove(best)
    return np.isin(groups, list(chosen))


def _lot(rows, seed):
    return hashlib.sha256(f"{seed} {rows[0]} {len(rows)}".encode()).digest()


def undivided(labels, groups, classes):
    """The classes of two images or more that lie in one group whole, int [K].

    None of their images can be tested without a leak.
    """
    labels, groups = np.asarray(labels), np.asarray(groups)
    counts = class_counts(labels, classes)
    pairs = np.unique(np.stack([labels, groups], 1), axis=0)
    of_class = np.bincount(pairs[:, 0], minlength=classes)
    return np.flatnonzero((of_class == 1) & (counts > 1))


def check(name, groups):
    """Refuses a single group, of which nothing can be held out."""
    if len(np.unique(groups)) < 2:
        raise Mistake(
            f"data.group {name!r} has one group, of all {len(groups):,} images; it "
            "takes 2 to have one tested that was not trained on"
        )


def check_split(name, names, sides):
    """Refuses a group on both `sides` [N], which are words; `names` [N] of groups."""
    first = {}
    for group, side in zip(names, sides):
        other = first.setdefault(group, side)
        if other != side:
            raise Mistake(
                f"data.group {name!r}: {shown(group)!r} is in {other} and in {side}; a "
                "group must be in one split only"
            )
