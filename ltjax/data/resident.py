"""A small set of image files, decoded by threads and held whole in memory."""

import concurrent.futures
import hashlib
import warnings

import numpy as np

from ltjax import machine
from ltjax.data import columns, decoding, groups, meta, partition
from ltjax.data.dataset import Dataset, Skipped, Split
from ltjax.data.rendering import USUAL
from ltjax.mistake import Mistake, shown

_WINDOW = 512  # files under way at a time
UNKNOWN = 2**34  # bytes of memory, where the system does not tell


def each(work, items, advance=lambda: None):
    """[work(item) for item in items], by a thread per core.

    `advance()` is called after each, in order. A decoder's warnings are not shown:
    what it cannot decode it raises.
    """
    done = []
    with (
        warnings.catch_warnings(),
        concurrent.futures.ThreadPoolExecutor(machine.threads()) as pool,
    ):
        warnings.filterwarnings("ignore", module=r"PIL\.")
        for first in range(0, len(items), _WINDOW):
            for result in pool.map(work, items[first : first + _WINDOW]):
                done.append(result)
                advance()
    return done


def dataset(
    listing,
    size,
    per_class,
    seed=0,
    strict=False,
    advance=lambda: None,
    *,
    most_bytes=None,
    rendering=USUAL,
):
    """The images of a `Listing` as a `Dataset` of shape [size, size, 3].

    Without a test split of its own, `partition.stratified` makes one. Files that cannot
    be decoded are left out and named in `skipped`; if `strict`, the first is refused.
    Raises `Mistake` if the pixels need more than `most_bytes`, by default a
    quarter of the machine's memory: a run holds up to three copies.
    """
    if most_bytes is None:
        most_bytes = (machine.memory() or UNKNOWN) // 4
    check_fits(len(listing.paths), size, most_bytes)
    images = np.empty((len(listing.paths), size, size, 3), np.uint8)

    def work(row):
        """The hash of a file, whose pixels go into their row; or why there is none."""
        try:
            data = decoding.read(listing.root / listing.paths[row])
            # Twice the size, for the filter to have something to average.
            with decoding.opened(data, 2 * size, rendering) as seen:
                images[row] = decoding.square(seen.image, size)
        except decoding.Unreadable as error:
            return Skipped(listing.paths[row], error.kind, error.reason)
        return hashlib.sha256(data).digest()

    looks = each(work, range(len(images)), advance)
    return assembled(listing, images, looks, per_class, seed, strict)


def assembled(listing, images, looks, per_class, seed=0, strict=False):
    """The `Dataset` of a listing's images [N], of which `looks` [N] tell.

    A look is the hash of the file's bytes, or the `Skipped` that says why there is no
    image. Raises `Mistake` where nothing is left, and, if `strict`, for the first
    skipped.
    """
    skipped = tuple(seen for seen in looks if isinstance(seen, Skipped))
    if skipped and (strict or len(skipped) == len(looks)):
        first = skipped[0]
        place = shown(listing.root / first.path)
        if strict:
            raise Mistake(
                f"{place} cannot be read: {first.reason}; mend or remove it, or let "
                "it be skipped: --data.strict False"
            )
        raise Mistake(
            f"none of the {len(looks)} images can be read; the first is {place}: "
            f"{first.reason}"
        )
    good = np.array([not isinstance(seen, Skipped) for seen in looks])
    digests = [seen for seen in looks if not isinstance(seen, Skipped)]
    train, test = divided(listing, good, digests, per_class, seed)
    for name, rows in (("training", train), ("test", test)):
        if not len(rows):
            raise Mistake(f"{shown(listing.root)} leaves no {name} images")
    number = groups.numbered(listing.group) if listing.group else None
    files = np.zeros((len(looks), 32), np.uint8)
    files[good] = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 32)
    parts, known, silent = (), None, {}
    if listing.beside is not None:
        parts = columns.learned(listing.beside.of(train), listing.beside)
        known = meta.encoded(parts, listing.beside)
        silent = meta.silent(parts, listing.beside)
    return Dataset(
        listing.name,
        *(
            Split(
                images[rows],
                listing.label[rows],
                file=files[rows],
                group=None if number is None else number[rows],
                meta=None if known is None else known[rows],
            )
            for rows in (train, test)
        ),
        beside=parts,
        silent=silent,
        classes=len(listing.classes),
        class_names=listing.classes,
        skipped=skipped,
    )


def divided(listing, good, digests, per_class, seed=0):
    """Rows of the training and of the test images, among the `good` [N] of a listing.

    `digests` are those of the good files' bytes. Of a listing with groups whole ones
    are tested. Where the listing has both, images of
    `val` are in neither.
    """
    rows = np.flatnonzero(good)
    if listing.tests is None and listing.group:
        names = [listing.group[row] for row in rows]
        test = partition.by_groups(
            listing.label[rows],
            len(listing.classes),
            per_class,
            groups.numbered(names, digests),
            seed,
        )
        return rows[~test], rows[test]
    if listing.tests is None:
        copies = partition.repeated(digests)
        test = partition.stratified(
            listing.label[rows], len(listing.classes), per_class, seed, copies
        )
        return rows[~test], rows[test]
    split = np.array(listing.split)[rows]
    return rows[split == "train"], rows[split == listing.tests]


def check_fits(images, size, most_bytes):
    """Refuses a set that the memory cannot hold."""
    needed = images * size * size * 3
    if needed > most_bytes:
        raise Mistake(
            f"data.size is {size}: {images} x {size} x {size} x 3 bytes are "
            f"{needed / 2**30:.1f} GiB, more than the {most_bytes / 2**30:.1f} GiB "
            "spared for images; give a smaller --data.size"
        )
