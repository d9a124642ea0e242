"""The bytes of one image file to RGB pixels, or the reason why not.

The same way for training and prediction: the first frame, upright by its EXIF tag, as
8-bit RGB; `square` brings it to one shape. Alpha channels are left out.
"""

import contextlib
import hashlib
import io
import os
import stat
import threading
from typing import NamedTuple

import numpy as np
from PIL import Image

_KINDS = "bmp gif jfif jpe jpeg jpg pbm pgm png pnm ppm tif tiff webp"
SUFFIXES = frozenset(f".{kind}" for kind in _KINDS.split())
MOST_PIXELS = 80_000_000
MOST_BYTES = 2**29
# Pictures of more pixels are decoded one at a time, whatever the number of threads.
_LARGE = 12_000_000
_one_at_a_time = threading.RLock()

_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
_SIXTEEN_BITS = ("I;16", "I;16B", "I;16L", "I;16N")
_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_STRIP = 2**20  # pixels hashed at a time


class Unreadable(Exception):
    """A file that gives no picture.

    `kind` is "empty", "truncated", "broken" or "unreadable" where there is no full
    image, and "refused" where there may be one that is not taken, as one too large.
    """

    def __init__(self, kind, reason):
        """The kind, and the reason as words for the user."""
        super().__init__(kind, reason)
        self.kind, self.reason = kind, reason


class Picture(NamedTuple):
    """A decoded file."""

    image: Image.Image  # RGB, upright
    mode: str  # Pillow's name for the file's own pixels, such as "L", "P" or "CMYK"
    animated: bool  # has more frames than the one taken
    turned: bool  # lay on its side, or was mirrored, but for its EXIF tag


def read(path):
    """All bytes of a file, or `Unreadable`."""
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise Unreadable("unreadable", "not a file")
        if status.st_size > MOST_BYTES:
            raise Unreadable(
                "refused", f"{status.st_size:,} bytes; at most {MOST_BYTES:,}"
            )
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise Unreadable("unreadable", error.strerror or str(error)) from error
    except ValueError as error:  # in words that each Python has its own of
        raise Unreadable("unreadable", "a name with a null byte") from error


@contextlib.contextmanager
def opened(data, at_least=None):
    """A context that yields the `Picture` in a file's bytes, or raises `Unreadable`.

    With `at_least` pixels a side, a larger JPEG may be decoded at a half, a quarter or
    an eighth of its size, which is faster. Pictures above 12 megapixels are held by one
    thread at a time, above 80 they are refused: memory is bounded.
    """
    if not data:
        raise Unreadable("empty", "no bytes")
    with contextlib.ExitStack() as held:
        with _damage_told():
            image = held.enter_context(Image.open(io.BytesIO(data), formats=_FORMATS))
            width, height = image.size
            pixels = width * height
            if pixels > MOST_PIXELS:
                raise Unreadable(
                    "refused", f"{width} x {height} pixels; at most {MOST_PIXELS:,}"
                )
            if at_least is not None:
                image.draft(None, (at_least, at_least))
        if pixels > _LARGE:
            held.enter_context(_one_at_a_time)
        with _damage_told():
            mode, animated = image.mode, getattr(image, "is_animated", False)
            image.load()
            turn = _UPRIGHT.get(_orientation(image))
            rgb = _rgb(image)
            upright = rgb if turn is None else rgb.transpose(turn)
        yield Picture(upright, mode, animated, turn is not None)


def square(image, size):
    """The centre of an RGB image, uint8 [size, size, 3]; see `fitted`."""
    return fitted(image, size, size)


def fitted(image, height, width):
    """The centre of an image, uint8 [height, width, 3], or [height, width] of a grey.

    It is scaled to cover that shape, with a bilinear filter as wide as the scale, and
    loses both ends of the side that is too long.
    """
    across, down = image.size
    if across * height < down * width:
        down = across * height / width
    else:
        across = down * width / height
    left, top = (image.width - across) / 2, (image.height - down) / 2
    box = (left, top, left + across, top + down)
    # Far larger images are first averaged over whole blocks, to twice the size or more.
    small = image.resize(
        (width, height), Image.Resampling.BILINEAR, box=box, reducing_gap=2.0
    )
    return np.asarray(small)


def digest(image):
    """A hash of the shape and the pixels of an RGB image: equal for equal pictures."""
    width, height = image.size
    seen = hashlib.sha256(f"{height} {width} 3 ".encode())
    rows = max(1, _STRIP // width)
    for top in range(0, height, rows):
        strip = image.crop((0, top, width, min(top + rows, height)))
        seen.update(strip.tobytes())
    return seen.digest()


@contextlib.contextmanager
def _damage_told():
    """Turns whatever a decoder raises on damaged bytes into `Unreadable`."""
    try:
        yield
    except Unreadable:
        raise
    except MemoryError as error:
        raise Unreadable("refused", "more than the memory holds") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        reason = f"too many pixels; at most {MOST_PIXELS:,}"
        raise Unreadable("refused", reason) from error
    except Image.UnidentifiedImageError as error:
        raise Unreadable("broken", "no image of a known kind") from error
    except Exception as error:  # decoders share no base class for damage
        reason = (str(error).splitlines() or [""])[0] or type(error).__name__
        kind = "truncated" if "truncated" in reason.lower() else "broken"
        raise Unreadable(kind, reason) from error


def _orientation(image):
    try:
        return image.getexif().get(_ORIENTATION, 1)
    except Exception:  # a damaged tag says nothing about the pixels
        return 1


def _rgb(image):
    """The image itself if it is RGB: another copy of a large one is memory."""
    if image.mode == "RGB":
        return image
    known = image.format in ("PNG", "PPM")  # these spread 32-bit pixels over 16 bits
    if image.mode in _SIXTEEN_BITS or (image.mode == "I" and known):
        high = np.asarray(image) >> 8
        return Image.fromarray(high.astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        reason = f"pixels of mode {image.mode} have no known range; wanted 8 or 16 bits"
        raise Unreadable("refused", reason)
    try:
        return image.convert("RGB")
    except ValueError as error:
        raise Unreadable("refused", f"mode {image.mode} has no RGB form") from error
