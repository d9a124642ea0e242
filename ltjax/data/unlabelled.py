"""Images without labels, batch after batch, whatever their number.

An image folder of any depth, an image file, a CSV with a column `path`, or an `.npz`
with `image`. Memory holds two batches, the names in one folder, and what is known
beside the images.
"""

import collections
import concurrent.futures
import contextlib
import itertools
import posixpath
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np

from ltjax import machine
from ltjax.data import archive, beside, csv_file, decoding, entries, kinds, listing
from ltjax.data.lookup import Lookup
from ltjax.data.names import found
from ltjax.data.shape import Fitted, Shape
from ltjax.mistake import Mistake, shown


class Unlabelled(NamedTuple):
    """Images that are not read yet; N of them."""

    key: str  # what their names are, "path" or "index"
    count: int
    ignored: dict[str, int]  # what was passed over, in words, and how often
    shape: Shape
    items: Callable[[], Iterator]  # () -> pairs of a name and load() -> `Fitted`
    # What is known beside them, float32 [N, K], and in how many rows each column tells
    # nothing; None where nobody asks, or where it comes without any.
    meta: np.ndarray | None = None
    silent: dict | None = None


class Batch(NamedTuple):
    """Images that follow each other; B of them."""

    names: list  # printable paths, or numbers
    image: np.ndarray  # uint8 [B, H, W, ch], zeros where there is a problem
    problems: list[str]  # why there is no image; "" where there is one
    resized: int
    recoloured: int


def read(path, shape, parts=()):
    """The `Unlabelled` at `path`, to be brought to a `Shape`.

    A CSV, or an `.npz` with `meta`, has what is known beside the images as the
    `meta.Part`s of a run say.

    Paths are those below a folder, or as a CSV has them; files are in the order of
    their names, folder by folder. Links to folders are not followed; what is hidden or
    not named like an image is passed over and counted.

    Raises `Mistake` for a path without images, for a CSV or `.npz` that is not as it
    should be, and for a path in a CSV that leaves its folder.
    """
    path = found(path)
    kind, root, ignored = path.suffix.lower(), path.parent, collections.Counter()
    known = None, None
    if path.is_dir():
        root, paths = path, lambda: ((p, p) for p in _below(path))
        count = sum(1 for _ in _below(path, ignored))
    elif kind == ".npz":
        count, _, _, channels = archive.shape(path)
        shape.check(shown(path), channels)
        known = beside.of_arrays(path, count, parts)
        return Unlabelled(
            "index", count, {}, shape, lambda: _of_arrays(path, shape), *known
        )
    elif kind in csv_file.SUFFIXES:
        paths = partial(_listed, path)
        count = sum(1 for _ in paths())
        known = beside.of_csv(path, parts)
    elif kind in kinds.SUFFIXES:
        paths, count = partial(iter, [(path.name, path.name)]), 1
    else:
        advice = kinds.advice([kinds.suffix(path.name)])
        raise Mistake(
            f"{shown(path)} is no image; wanted a folder, an image file, a .csv with a "
            "column path, or an .npz with image" + (f"; {advice}" if advice else "")
        )
    ignored = entries.counted(ignored)
    if not count:
        passed = f" ({entries.told(ignored)})" if ignored else ""
        raise Mistake(f"{shown(path)} has no images, wanted some{passed}")
    shape.check(shown(path), 3)
    return Unlabelled(
        "path",
        count,
        ignored,
        shape,
        lambda: (
            (shown(name), partial(_of_file, root / place, shape))
            for name, place in paths()
        ),
        *known,
    )


@contextlib.contextmanager
def batches(images, size):
    """A context of an iterator over `Batch`es of `size` images, the last one of fewer.

    Decoded by a thread per core, one batch ahead. A decoder's warnings are not shown:
    what it cannot decode it raises.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        pool = concurrent.futures.ThreadPoolExecutor(machine.threads())
        try:
            yield _decoded(images, size, pool)
        finally:
            pool.shutdown(cancel_futures=True)


def _decoded(images, size, pool):
    items, waiting = images.items(), None
    while True:
        started = [
            (name, pool.submit(_attempt, load))
            for name, load in itertools.islice(items, size)
        ]
        if waiting:
            yield _collected(images.shape, waiting)
        if not started:
            return
        waiting = started


def _attempt(load):
    """An image, or why there is none: whatever is wrong with one ends no other."""
    try:
        with decoding.damage_told():
            return load()
    except decoding.Unreadable as error:
        return error


def _collected(shape, waiting):
    names, results = zip(*((name, future.result()) for name, future in waiting))
    good = [seen if isinstance(seen, Fitted) else None for seen in results]
    empty = np.zeros(shape[:3], np.uint8)
    return Batch(
        names=list(names),
        image=np.stack([empty if seen is None else seen.image for seen in good]),
        problems=[getattr(seen, "reason", "") for seen in results],
        resized=sum(seen.resized for seen in good if seen),
        recoloured=sum(seen.recoloured for seen in good if seen),
    )


def _of_file(path, shape):
    data = decoding.read(path)
    with decoding.opened(data, shape.least_side(), shape.rendering) as seen:
        return shape.of_picture(seen)


def _of_arrays(path, shape):
    for number, image in enumerate(archive.images(path)):
        yield number, partial(shape.of_array, image)


def _below(root, ignored=None):
    """Paths of the images at any depth below a folder, with "/" on every system."""
    ignored = collections.Counter() if ignored is None else ignored
    stack = [("", True)]
    while stack:
        relative, is_folder = stack.pop()
        if not is_folder:
            yield relative
            continue
        folders, images = entries.read(root / relative, ignored)
        inside = [(name, True) for name in folders] + [(name, False) for name in images]
        stack += (
            (posixpath.join(relative, name), kind)
            for name, kind in sorted(inside, reverse=True)
        )


def _listed(file):
    """(path as it is written, path below the folder of the file) of each row."""
    lookup = Lookup(file.parent)
    for line, row in csv_file.rows(file, ("path",), "path"):
        where = f"{shown(file)}, line {line}"
        yield row["path"], listing.place(lookup, row["path"], where)[0]
