"""Features of many images in files: written once, in order, and read as they are used.

An array [members, N, ...] lies in NAME.npy as [N, members, ...], so that what a batch
needs of an image is in one piece. Beside it NAME.json has its type and checksum; it is
written last: without it the file is unfinished. bfloat16, which .npy does not know, is
stored as uint16.
"""

import contextlib
import hashlib
import io
import json
import os

import jax.numpy as jnp
import numpy as np

from ltjax.mistake import Mistake
from ltjax.workdir import seal as checks
from ltjax.workdir.files import write_json

# Of what a file holds and how; another number is refused.
FORMAT = 1

_AT_ONCE = 2**26  # bytes that are copied at a time
_STORED = {"bfloat16": "uint16"}


def file_of(folder, name):
    """Where the array of that name lies."""
    return folder / f"{name}.npy"


def write(file, like, parts):
    """Writes an array of the shape [members, N, ...] and the type of `like`.

    `parts` are arrays [members, n, ...] of images that follow each other, of NumPy or
    JAX, in any type. All of it is read back and compared by its checksum, which is
    returned for `seal`; besides the parts it takes 0.2 GB at most. Raises `Mistake`,
    with nothing left of it, where it cannot be written or comes back otherwise.
    """
    digest, seen = hashlib.sha256(), 0

    def put(content, piece):
        digest.update(piece)
        content.write(piece)

    try:
        with _told(file):
            file.parent.mkdir(parents=True, exist_ok=True)
            # Not the file that there was: another process may have that one mapped.
            for old in (_record(file), file):
                old.unlink(missing_ok=True)
        with contextlib.ExitStack() as stack:
            with _told(file):
                content = stack.enter_context(file.open("wb"))
                put(content, _header(like))
            for part in parts:
                with _told(file):
                    for block in _blocks(part, like.dtype):
                        put(content, block)
                seen += part.shape[1]
            with _told(file):
                content.flush()
                os.fsync(content.fileno())
        if seen != like.shape[1]:
            raise ValueError(f"{file} got {seen} of {like.shape[1]} images")
        if checks.checksum(file) != digest.hexdigest():
            raise Mistake(f"{file} is not what was written; is the disk sound?")
    except BaseException:
        with contextlib.suppress(OSError):
            file.unlink(missing_ok=True)
        raise
    return digest.hexdigest()


def seal(file, like, digest, made=None):
    """Writes the record of a file, which is whole from then on.

    `made` is what it tells, too: of what run and versions it is.
    """
    record = {"format": FORMAT, **(made or {}), "dtype": str(like.dtype)}
    with _told(file):
        write_json(_record(file), {**record, "sha256": digest})


def damage(file):
    """What is wrong with a file, in words, or None."""

    def checksums(record):
        yield "it", file, record["sha256"]

    return checks.damage(_record(file), FORMAT, checksums)


def there(file):
    """Whether anything of it is."""
    return file.exists() or _record(file).exists()


def mapped(file):
    """The array [members, N, ...]: what is used of it is read from the file."""
    return _seen(file, np.load(file, mmap_mode="r", allow_pickle=False))


def loaded(file):
    """The same in memory."""
    return _seen(file, np.load(file, allow_pickle=False))


def _seen(file, stored):
    dtype = json.loads(_record(file).read_text(encoding="utf-8"))["dtype"]
    return np.moveaxis(stored.view(jnp.dtype(dtype)), 1, 0)


def _record(file):
    return file.with_suffix(".json")


def _header(like):
    """The first bytes of the .npy of an array [members, N, ...]."""
    members, count, *rest = like.shape
    name = str(like.dtype)
    dtype = np.dtype(_STORED.get(name, name))
    fields = {
        "descr": np.lib.format.dtype_to_descr(dtype),
        "fortran_order": False,
        "shape": (count, members, *rest),
    }
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, fields)
    return header.getvalue()


def _blocks(part, dtype):
    """Bytes of [members, n, ...], image after image."""
    members, count, *rest = part.shape
    rows = max(1, _AT_ONCE // max(4 * members * int(np.prod(rest)), 1))
    for first in range(0, count, rows):
        block = np.asarray(part[:, first : first + rows]).astype(dtype, copy=False)
        block = np.ascontiguousarray(np.moveaxis(block, 1, 0))
        yield block.reshape(-1).view(np.uint8).data


@contextlib.contextmanager
def _told(file):
    """Tells of a full disk and the like in one line."""
    try:
        yield
    except OSError as error:
        raise Mistake(
            f"{file} cannot be written: {error.strerror or error}; what was saved "
            "before is kept, the same command goes on from there"
        ) from error
