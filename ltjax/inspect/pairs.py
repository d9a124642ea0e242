"""The page of the pictures that are nearly the same, pair by pair."""

import numpy as np

from ltjax.data import decoding
from ltjax.mistake import shown
from ltjax.report import markup

_MOST = 200  # pairs of each kind, and bursts
_SIDE = 96  # pixels
_KINDS = {
    "near_copies_across_classes": (
        "Near copies in two classes",
        "One of the labels may be wrong, or the classes are hard to tell apart.",
    ),
    "near_copies_across_splits": (
        "Near copies in two splits",
        "What is learned of one is known of the other: the test figures are too good.",
    ),
}


def page(root, found):
    """The HTML of what an inspection has `found` of image files below `root`."""
    sections = {
        kind: (name, _pairs(root, found[kind], words))
        for kind, (name, words) in _KINDS.items()
    }
    sections["bursts"] = ("Bursts", _bursts(root, found["bursts"]))
    return markup.paged(
        f"Pictures of {found['name']} that are alike",
        f"{found['images']:,} images, of which {found['near_copies']:,} pairs are "
        "nearly the same",
        _summary(found),
        sections,
    )


def _summary(found):
    if not any(found[kind] for kind in (*_KINDS, "bursts")):
        return "None is in two classes or two splits, and there are no bursts."
    return (
        "Found by 64-bit difference hashes, which see shapes and no colours: some of "
        "these only look alike."
    )


def _pairs(root, pairs, words):
    if not pairs:
        return
    yield markup.paragraph(words + _more(len(pairs)), "soft")
    for pair in pairs[:_MOST]:
        yield markup.faces([_face(root, path) for path in pair])


def _bursts(root, runs):
    if not runs:
        return
    yield markup.paragraph(
        "Names that count up, and pictures of one occasion. --group keeps those of one "
        "burst in one split." + _more(len(runs)),
        "soft",
    )
    for run in runs[:_MOST]:
        yield markup.heading(f"{len(run)} pictures, from {shown(run[0])}")
        yield markup.faces([_face(root, path) for path in (run[0], run[1], run[-1])])


def _more(count):
    return f" The first {_MOST} of {count:,}." if count > _MOST else ""


def _face(root, path):
    with decoding.opened(decoding.read(root / path), 2 * _SIDE) as seen:
        image = np.asarray(decoding.square(seen.image, _SIDE))
    folder, _, name = path.rpartition("/")
    return image, f"image {shown(path)}", (shown(folder), shown(name))
