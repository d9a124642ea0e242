"""What a user should know of a set of images before training on it.

Files are decoded one after the other and forgotten; hashes are kept, not pixels.
"""

import collections
import hashlib
import io
from datetime import datetime
from typing import NamedTuple

import numpy as np
from PIL import Image

from ltjax.data import decoding, kinds, longtail, partition, rendering, resident
from ltjax.data.names import alike
from ltjax.inspect import likeness
from ltjax.mistake import Mistake, shown

_EXIF, _ORIGINAL, _DATE = 0x8769, 36867, 306  # tags of a photograph's date


class Look(NamedTuple):
    """What is remembered of one image."""

    pixels: bytes  # equal for equal pictures
    file: bytes  # equal for equal files
    width: int
    height: int
    mode: str
    animated: bool
    turned: bool
    span: tuple[float, float] | None = None  # of grey values of more than 8 bits
    clear: bool = False  # has transparent pixels
    plain: bool = False  # is of one colour, before the background that is the default
    reduced: bool = False  # has colours of more than 8 bits, of which 8 are read
    likeness: int | None = None  # its `likeness.difference_hash`
    taken: float | None = None  # seconds, where its file tells when


def look(path):
    """The `Look` of a file, or the `Unreadable` that says why there is none."""
    try:
        data = decoding.read(path)
        with decoding.decoded(data) as seen:
            image = shown = seen.image
            span = rendering.span(image)
            # Of deep pixels it is not known yet how they are to be shown.
            deep = image.mode in rendering.DEEP
            if not deep:
                shown = rendering.rgb(image, seen.bits, rendering.USUAL)
            ends = [span] if deep else shown.getextrema()
            return Look(
                decoding.digest(shown),
                hashlib.sha256(data).digest(),
                *shown.size,
                seen.mode,
                seen.animated,
                seen.turned,
                span,
                rendering.has_clear(image),
                all(end is None or end[0] == end[1] for end in ends),
                seen.bits > 8 and not deep,
                None if deep else likeness.difference_hash(shown),
                _taken(data),
            )
    except decoding.Unreadable as error:
        return error


def _taken(data):
    """When a photograph was taken, in seconds; None where its file does not tell."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            exif = image.getexif()
            told = exif.get_ifd(_EXIF).get(_ORIGINAL) or exif.get(_DATE)
            return datetime.strptime(str(told), "%Y:%m:%d %H:%M:%S").timestamp()
    except (OSError, ValueError, SyntaxError, OverflowError):
        return None


def files(listing, advance=lambda: None):
    """[N] looks at the files of a `listing.Listing`, by threads."""
    return resident.each(look, [listing.root / path for path in listing.paths], advance)


def arrays(images):
    """[N] looks at images in memory, uint8 [N, H, W, ch]."""
    _, height, width, channels = images.shape
    mode = {1: "L", 3: "RGB", 4: "RGBA"}.get(channels, f"{channels} channels")
    return [
        Look(digest, digest, width, height, mode, False, False)
        for digest in partition.digests(images)
    ]


def findings(listing, looks):
    """What was found, ready for JSON, in the terms of `python -m ltjax.inspect`.

    `looks` [N] belong to the listing's paths. Counts and duplicates are of decodable
    images, before any split is made; paths are the listing's. Raises `Mistake` if
    there is not one.
    """
    good = np.array([isinstance(seen, Look) for seen in looks])
    seen = [each for each in looks if isinstance(each, Look)]
    if not seen:
        first = shown(listing.root / listing.paths[0])
        raise Mistake(
            f"none of the {len(looks)} images can be read; the first is {first}: "
            f"{looks[0].reason}"
        )
    rows = np.flatnonzero(good)
    counts = longtail.class_counts(listing.label[rows], len(listing.classes))
    bad = sorted(
        (listing.paths[row], looks[row].kind, looks[row].reason)
        for row in np.flatnonzero(~good)
    )
    return {
        "name": listing.name,
        "images": len(seen),
        "classes": len(listing.classes),
        "counts": dict(zip(listing.classes, counts.tolist())),
        **_tail(counts, listing.classes),
        "undecodable": [path for path, kind, _ in bad if kind != "refused"],
        "skipped": [dict(zip(("path", "kind", "reason"), each)) for each in bad],
        **_duplicates(listing, rows, seen),
        **_alike_pictures(listing, rows, seen),
        "splits": _splits(listing, rows),
        "alike_names": _alike(listing.classes),
        "passed_over": listing.ignored,
        "one_colour": sorted(
            listing.paths[row] for row, each in zip(rows, seen) if each.plain
        ),
        "notes": [*filter(None, (kinds.advice(listing.ignored), listing.note))],
        **_shapes(seen),
    }


def proposed(listing, looks, per_class, seed=0):
    """The rows to train on and to test on, as `resident.dataset` takes them."""
    good = np.array([isinstance(seen, Look) for seen in looks])
    digests = [seen.file for seen in looks if isinstance(seen, Look)]
    return resident.divided(listing, good, digests, per_class, seed)


def gini(counts):
    """The Gini coefficient of class counts: 0 for equal ones, towards 1 for one class.

    Half the mean absolute difference over the mean:
    2 sum_i i n_(i) / (C sum n) - (C + 1) / C, with n_(1) <= ... <= n_(C).
    """
    counts = np.sort(np.asarray(counts, np.float64))
    classes = len(counts)
    ranked = (np.arange(1, classes + 1) * counts).sum()
    return float(2 * ranked / (classes * counts.sum()) - (classes + 1) / classes)


def _tail(counts, names):
    """Imbalance of the classes that have images; the others are `empty_classes`."""
    present = counts[counts > 0]
    return {
        "empty_classes": [name for name, count in zip(names, counts) if not count],
        "imbalance_factor": float(present.max() / present.min()),
        "gini": gini(counts),
        "groups": members(longtail.groups(counts), names),
    }


def members(groups, names):
    """{group: names of its classes} of the masks [C] in `groups`."""
    return {
        group: [name for name, member in zip(names, mask) if member]
        for group, mask in groups.items()
    }


def _duplicates(listing, rows, seen):
    """Groups of equal pictures: all, those of several classes, of several splits."""
    groups = collections.defaultdict(list)
    for row, each in zip(rows, seen):
        groups[each.pixels].append(int(row))
    equal = [group for group in groups.values() if len(group) > 1]

    def paths(several):
        return sorted(sorted(listing.paths[row] for row in group) for group in several)

    return {
        "duplicates": paths(equal),
        "duplicates_across_classes": paths(
            group for group in equal if len({listing.label[row] for row in group}) > 1
        ),
        "duplicates_across_splits": paths(
            group for group in equal if len({listing.split[row] for row in group}) > 1
        ),
    }


def _alike_pictures(listing, rows, seen):
    """Pairs that are nearly the same in several classes or splits, and bursts."""
    hashes = [each.likeness for each in seen]
    pairs = [
        (int(rows[one]), int(rows[other]))
        for one, other in likeness.near(hashes)
        if seen[one].pixels != seen[other].pixels
    ]

    def paths(column):
        return [
            [listing.paths[one], listing.paths[other]]
            for one, other in pairs
            if column[one] != column[other]
        ]

    runs = likeness.bursts(
        [listing.paths[row] for row in rows], hashes, [each.taken for each in seen]
    )
    if listing.group:  # what a group holds whole is in one split
        groups = [listing.group[row] for row in rows]
        runs = [run for run in runs if len({groups[at] for at in run}) > 1]
    return {
        "near_copies": len(pairs),
        "near_copies_across_classes": paths(listing.label),
        "near_copies_across_splits": paths(listing.split),
        "bursts": [[listing.paths[rows[at]] for at in run] for run in runs],
    }


def _splits(listing, rows):
    """Images per class of each split the set comes with, {} if it has none."""
    split = np.array(listing.split)[rows]
    label = listing.label[rows]
    found = {}
    for name in ("train", "val", "test"):
        if name in listing.split:
            counts = longtail.class_counts(label[split == name], len(listing.classes))
            found[name] = dict(zip(listing.classes, counts.tolist()))
    return found


def one_sided(train, test):
    """Names of the classes that only `train` or only `test`, {class: images}, has."""
    return {
        "train": [name for name in train if train[name] and not test[name]],
        "test": [name for name in train if test[name] and not train[name]],
    }


def _alike(names):
    """Groups of class names that look the same: other case, other Unicode form."""
    groups = collections.defaultdict(list)
    for name in names:
        groups[alike(name)].append(name)
    return [group for group in groups.values() if len(group) > 1]


def _shapes(seen):
    """Sizes, modes and what else had to be converted."""
    sides = {
        name: [getattr(each, name) for each in seen] for name in ("width", "height")
    }
    shorter = [min(each.width, each.height) for each in seen]
    sides["shorter_side"] = shorter
    return {
        "pixels": {
            name: [int(min(values)), int(np.median(values)), int(max(values))]
            for name, values in sides.items()
            if values
        },
        "modes": dict(collections.Counter(each.mode for each in seen).most_common()),
        "animated": sum(each.animated for each in seen),
        "turned": sum(each.turned for each in seen),
        "transparent": sum(each.clear for each in seen),
        "reduced": sum(each.reduced for each in seen),
        "deep": sum(each.span is not None for each in seen),
        "deep_range": span(seen),
    }


def span(looks):
    """The range of all grey values of more than 8 bits, or None without any."""
    ends = [end for each in looks for end in getattr(each, "span", None) or ()]
    return (min(ends), max(ends)) if ends else None


def counted(listing, rows):
    """{class: images} of some rows of a listing."""
    counts = longtail.class_counts(listing.label[rows], len(listing.classes))
    return dict(zip(listing.classes, counts.tolist()))
