"""The images of an `.npz`, one after another: the file need not fit in memory."""

import contextlib
import lzma
import zipfile
import zlib

import numpy as np

from ltjax.data import dataset, decoding
from ltjax.mistake import Mistake, shown

_MEMBER = "image.npy"
# What damaged files raise is not one family.
_DAMAGE = (OSError, EOFError, ValueError, RuntimeError, NotImplementedError)
_DAMAGE += (zipfile.BadZipFile, zlib.error, lzma.LZMAError)


def shape(path):
    """The shape [N, H, W, ch] of the member `image`; its pixels are not read.

    Raises `Mistake` unless they are uint8, in an undamaged file.
    """
    with _opened(path) as (_, found):
        return found


def images(path):
    """Each image of the file, uint8 [H, W, ch]; `Mistake` where it is damaged."""
    with _opened(path) as (file, found):
        count, *one = found
        for number in range(count):
            pixels = file.read(int(np.prod(one)))
            if len(pixels) < np.prod(one):
                raise Mistake(f"{shown(path)} ends within image {number} of {count}")
            yield np.frombuffer(pixels, np.uint8).reshape(one)
        file.read(1)  # by which the checksum is compared


@contextlib.contextmanager
def _opened(path):
    """A context of the member's bytes after its header, and of its shape."""
    if not zipfile.is_zipfile(path):
        raise Mistake(f"{shown(path)} is not an .npz file, or it is cut short")
    try:
        with zipfile.ZipFile(path) as archive:
            if _MEMBER not in archive.namelist():
                names = sorted(name.removesuffix(".npy") for name in archive.namelist())
                listed = ", ".join(map(shown, names[:8])) or "none"
                raise Mistake(f"{shown(path)} has no member 'image'; it has {listed}")
            with archive.open(_MEMBER) as file:
                yield file, _header(path, file)
    except Mistake:
        raise
    except _DAMAGE as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise Mistake(
            f"{shown(path)} cannot be read: {reason}; wanted a plain array 'image' in "
            "an undamaged .npz"
        ) from error


def _header(path, file):
    formats = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    version = np.lib.format.read_magic(file)
    if version not in formats:
        raise ValueError(f"an array of format {version}")
    found, by_columns, dtype = formats[version](file)
    found = dataset.check_images(shown(path), dtype, found)
    if by_columns:
        raise Mistake(
            f"{shown(path)}: 'image' is stored in Fortran's order; save "
            "numpy.ascontiguousarray of it"
        )
    if found[1] * found[2] > decoding.MOST_PIXELS:
        raise Mistake(
            f"{shown(path)}: 'image' has shape {found}; an image has at most "
            f"{decoding.MOST_PIXELS:,} pixels"
        )
    return found
