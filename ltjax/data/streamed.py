"""Images that stay in their files until they are asked for.

Worker processes import this module: it knows NumPy and Pillow, not JAX.
"""

import dataclasses
import functools
import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ltjax.data import crops, decoding, resident
from ltjax.data.dataset import Dataset, Skipped, Split
from ltjax.data.rendering import USUAL
from ltjax.mistake import Mistake, shown

_SAMPLE = 2**28  # bytes of pixels from which a large set's moments are taken


class Files(NamedTuple):
    """Image files in a folder."""

    root: Path
    paths: tuple[str, ...]

    def read(self, number):
        """The bytes of a file."""
        return decoding.read(self.root / self.paths[number])

    def name(self, number):
        """The file in words."""
        return shown(self.root / self.paths[number])


@dataclasses.dataclass(frozen=True)
class Records:
    """The images of a split of a prepared TFDS set, as they were encoded."""

    folder: str
    split: str

    def read(self, number):
        """The bytes of an image."""
        return self.opened[number]["image"]

    def name(self, number):
        """The record in words."""
        return f"{self.folder} {self.split}[{number}]"

    @functools.cached_property
    def opened(self):
        """Random access to examples whose images are bytes; opened in each process."""
        import tensorflow_datasets as tfds

        builder = tfds.builder_from_directory(self.folder)
        return builder.as_data_source(
            self.split, decoders={"image": tfds.decode.SkipDecoding()}
        )

    def __reduce__(self):
        """Without what is opened."""
        return Records, (self.folder, self.split)


@dataclasses.dataclass(frozen=True)
class Pictures:
    """What stands for an array of images, uint8 [N, size, size, 3], that is not there.

    Indexed by an array of rows it gives the `Pictures` of these rows; single images are
    decoded by `plain` and `augmented`.
    """

    files: Files | Records
    numbers: np.ndarray  # int [N], which of the files
    digests: np.ndarray  # uint8 [N, 32], SHA-256 of the files' bytes
    recipe: crops.Crop

    def __len__(self):
        return len(self.numbers)

    @property
    def shape(self):
        """That of the array."""
        return len(self), self.recipe.size, self.recipe.size, 3

    def __getitem__(self, rows):
        return dataclasses.replace(
            self, numbers=self.numbers[rows], digests=self.digests[rows]
        )

    def plain(self, row):
        """The image of a row as it is tested."""
        return self._cut(row, crops.plain, augments=False)

    def augmented(self, rng, row):
        """The image of a row as it is trained on."""
        return self._cut(row, functools.partial(crops.augmented, rng), augments=True)

    def _cut(self, row, cut, augments):
        number = int(self.numbers[row])
        needed = crops.pixels_needed(self.recipe, augments)
        try:
            data = self.files.read(number)
            with decoding.opened(data, needed, self.recipe.rendering) as seen:
                return cut(seen.image, self.recipe)
        except decoding.Unreadable as error:
            raise Mistake(
                f"{self.files.name(number)} could be read when the run began, and "
                f"now cannot: {error.reason}"
            ) from error


def alone(work, count):
    """`work(rows)` of the rows 0..count - 1, all of them here.

    `hosts.divided` is the same where several processes share the work.
    """
    return work(range(count))


def looked_at(
    read,
    count,
    advance=lambda: None,
    divided=alone,
    told=lambda number: (),
    rendering=USUAL,
):
    """Hashes of so many files' bytes, uint8 [N, 32], and those without an image.

    The latter as {number: `Unreadable`}. `read(number)` gives the bytes; each
    file is read and decoded once, as small as its format allows, by threads. Third come
    `told(number)` [N], JSON-ready, asked when the file was read. The work is `divided`.
    """

    def look(number):
        try:
            data = read(number)
            with decoding.opened(data, 1, rendering):
                seen = hashlib.sha256(data).hexdigest()
        except decoding.Unreadable as error:
            seen = [error.kind, error.reason]
        return seen, told(number)

    looks = divided(lambda rows: resident.each(look, rows, advance), count)
    bad = {
        at: decoding.Unreadable(*seen)
        for at, (seen, _) in enumerate(looks)
        if not isinstance(seen, str)
    }
    digests = b"".join(
        bytes(32) if at in bad else bytes.fromhex(seen)
        for at, (seen, _) in enumerate(looks)
    )
    digests = np.frombuffer(digests, np.uint8).reshape(count, 32)
    return digests, bad, [about for _, about in looks]


def of_listing(
    listing,
    recipe,
    per_class,
    seed=0,
    strict=False,
    advance=lambda: None,
    *,
    divided=alone,
):
    """The images of a `listing.Listing` as a `Dataset` that is read in training.

    Split, skipped and refused are the same files as in `resident.dataset`. Looking at
    all of them is `divided`, as in `looked_at`.
    """
    files, count = Files(listing.root, listing.paths), len(listing.paths)
    shown = recipe.rendering
    digests, bad, _ = looked_at(files.read, count, advance, divided, rendering=shown)
    looks = [
        Skipped(listing.paths[at], bad[at].kind, bad[at].reason)
        if at in bad
        else digests[at].tobytes()
        for at in range(count)
    ]
    whole = Pictures(files, np.arange(count), digests, recipe)
    return resident.assembled(listing, whole, looks, per_class, seed, strict)


def of_tfds(
    name, builder, splits, classes, recipe, advance=lambda: None, *, divided=alone
):
    """The two `splits` of a prepared TFDS set as a `Dataset` that is read in training.

    Examples with an `id` are sorted by it, as `sources.tfds` sorts them. Looking at all
    of them is `divided`, as in `looked_at`. Raises `Mistake` for an image that cannot
    be decoded.
    """
    whole = [_split(builder, split, recipe, advance, divided) for split in splits]
    if classes is None:
        classes = 1 + max(int(split.label.max()) for split in whole)
    return Dataset(name, *whole, classes=classes)


def _split(builder, name, recipe, advance, divided):
    files = Records(str(builder.data_dir), name)
    count = builder.info.splits[name].num_examples
    if not count:
        raise Mistake(f"{files.folder} split {name!r} has no images")
    others = {}

    def read(number):
        """The bytes of an image; what else its example tells is kept."""
        example = files.opened[number]
        id_ = example.get("id", number)
        if isinstance(id_, bytes):
            # Every byte is a character of its own: sorted, the order is the same.
            id_ = id_.decode("latin-1")
        id_ = id_.item() if isinstance(id_, np.generic) else id_
        others[number] = int(example["label"]), id_
        return example["image"]

    digests, bad, told = looked_at(
        read, count, advance, divided, others.pop, recipe.rendering
    )
    for at, error in bad.items():
        raise Mistake(f"{files.name(at)} cannot be decoded: {error.reason}")
    label, ids = zip(*told)
    order = np.argsort(np.array(ids), kind="stable")
    digests = digests[order]
    whole = Pictures(files, order, digests, recipe)
    return Split(whole, np.array(label, np.int32)[order], file=digests)


def sample(pictures):
    """Some of the images as an array, evenly spaced; all of a small set."""
    most = max(1, _SAMPLE // int(np.prod(pictures.shape[1:])))
    rows = spaced(len(pictures), most)
    return np.stack(resident.each(pictures.plain, rows))


def spaced(count, most=None):
    """At most `most` of the rows 0..count - 1, evenly spaced, in order; None: all."""
    most = count if most is None else min(most, count)
    return np.arange(most) * count // most
