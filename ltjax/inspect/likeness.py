"""Pictures that are nearly the same, and bursts: what leaks from one split to another.

A difference hash has 64 bits: whether a grey thumbnail of 9 x 8 pixels becomes lighter
from each pixel to its right neighbour. It hardly changes where a picture is encoded
anew, resized, or cropped a little.
"""

import collections
import itertools
import re

import numpy as np
from PIL import Image

NEAR = 7  # bits in which pictures that are nearly the same may differ
_BURST = 16  # and those of neighbours in a burst; of unlike pictures about 32 do
_LEAST_BURST = 3  # pictures
_FLAT = 6  # bits that are 1, or 0: of a picture without structure
_SECONDS = 10  # between neighbours of a burst, where files tell when they were taken
_LARGEST = 20_000  # pictures that agree in a part of the hash: of too many none is told
_WEIGHTS = np.uint64(1) << np.arange(64, dtype=np.uint64)


def difference_hash(image):
    """The hash of a Pillow image of 8 bits, an int; None of one without structure.

    >>> from PIL import Image
    >>> difference_hash(Image.new("RGB", (40, 30), "red")) is None
    True
    """
    small = image.convert("L").resize((9, 8), Image.Resampling.BOX)
    values = np.asarray(small, np.int16)
    bits = (values[:, 1:] > values[:, :-1]).ravel()
    if not _FLAT <= bits.sum() <= 64 - _FLAT:
        return None
    return int((_WEIGHTS * bits).sum())


def near(hashes, most=NEAR):
    """Pairs (i, j), i < j, of the hashes [N] that differ in at most so many bits.

    Hashes that are None are like no other. Two hashes that differ in k bits agree in
    one of k + 1 parts of the 64: only those that agree in a part are compared.
    """
    rows = np.array([at for at, each in enumerate(hashes) if each is not None], int)
    values = np.array([hashes[at] for at in rows], np.uint64)
    ends = np.linspace(0, 64, most + 2).astype(int)
    pairs = set()
    for low, high in itertools.pairwise(ends):
        part = (values >> np.uint64(low)) & np.uint64((1 << int(high - low)) - 1)
        order = np.argsort(part, kind="stable")
        for same in np.split(order, np.flatnonzero(np.diff(part[order])) + 1):
            if 1 < len(same) <= _LARGEST:
                pairs |= _within(values, same, most)
    return sorted((int(rows[i]), int(rows[j])) for i, j in pairs)


def _within(values, rows, most):
    """The pairs among `rows` that are near; row by row, to bound the memory."""
    found = set()
    for at, row in enumerate(rows[:-1]):
        others = rows[at + 1 :]
        apart = np.bitwise_count(values[row] ^ values[others])
        for other in others[apart <= most]:
            found.add((min(row, other), max(row, other)))
    return found


def bursts(paths, hashes, times):
    """Runs of 3 or more pictures of one occasion, as lists of rows.

    In one folder, under names that count up by 1, and each nearly like the next or,
    where both files tell `times` in seconds (None: they do not), taken shortly before.
    """
    by_name = collections.defaultdict(list)
    for row, path in enumerate(paths):
        folder, _, name = path.rpartition("/")
        found = re.fullmatch(r"(.*?)(\d{1,9})(\D*)", name)
        if found:
            before, number, after = found.groups()
            by_name[folder, before, after].append((int(number), row))
    runs = []
    for numbered in by_name.values():
        numbered.sort()
        run = [numbered[0][1]]
        for (first, row), (second, following) in itertools.pairwise(numbered):
            joined = second == first + 1 and _together(row, following, hashes, times)
            if not joined:
                runs.append(run)
                run = []
            run.append(following)
        runs.append(run)
    return sorted(run for run in runs if len(run) >= _LEAST_BURST)


def _together(row, following, hashes, times):
    if times[row] is not None and times[following] is not None:
        return abs(times[following] - times[row]) <= _SECONDS
    one, other = hashes[row], hashes[following]
    if one is None or other is None:
        return False
    return (one ^ other).bit_count() <= _BURST
