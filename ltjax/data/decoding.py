"""The bytes of one image file to RGB pixels, or the reason why not.

The same way for training and prediction: the first frame, upright by its EXIF tag, as
8-bit RGB of one `rendering.Rendering`; `square` brings it to one shape.
"""

import contextlib
import hashlib
import io
import os
import re
import stat
import threading
from typing import NamedTuple

import numpy as np
from PIL import Image

from ltjax.data import kinds, png, rendering
from ltjax.data.unreadable import Unreadable

MOST_PIXELS = 80_000_000
MOST_BYTES = 2**29
# Pictures of more pixels are decoded one at a time, whatever the number of threads.
_LARGE = 12_000_000
_one_at_a_time = threading.RLock()

_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP", *["AVIF"] * kinds.AVIF)
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
_NO_MEMORY = "more than the memory holds"
_STRIP = 2**20  # pixels hashed at a time


class Picture(NamedTuple):
    """A decoded file."""

    image: Image.Image  # upright
    mode: str  # Pillow's name for the file's own pixels, such as "L", "P" or "CMYK"
    bits: int  # of a channel in the file: 8, or fewer, or 12, 16, 32
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
    except MemoryError as error:
        raise Unreadable("refused", _NO_MEMORY) from error


@contextlib.contextmanager
def opened(data, at_least=None, shown=rendering.USUAL):
    """A context of the `Picture` in a file's bytes as RGB, or raises `Unreadable`.

    With `at_least` pixels a side, a larger JPEG may be decoded at a half, a quarter or
    an eighth of its size, which is faster. Pictures above 12 megapixels are held by one
    thread at a time, above 80 they are refused: memory is bounded. What fails within
    the context is `Unreadable`, too: it is of this picture.
    """
    with decoded(data, at_least) as seen:
        yield seen._replace(image=rendering.rgb(seen.image, seen.bits, shown))


@contextlib.contextmanager
def decoded(data, at_least=None):
    """The same with the pixels of the file: of another mode than RGB, or of 16 bits."""
    if not data:
        raise Unreadable("empty", "no bytes")
    with contextlib.ExitStack() as held, damage_told():
        file = io.BytesIO(png.needed(data))
        image = held.enter_context(Image.open(file, formats=_FORMATS))
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
        mode, animated = image.mode, getattr(image, "is_animated", False)
        bits = _bits(image)
        image.load()
        turn = _UPRIGHT.get(_orientation(image))
        plain = _plain(image, bits)
        upright = plain if turn is None else plain.transpose(turn)
        yield Picture(upright, mode, bits, animated, turn is not None)


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
    """A hash of mode, shape and pixels of an image: equal for equal pictures."""
    width, height = image.size
    seen = hashlib.sha256(f"{height} {width} {image.mode} ".encode())
    rows = max(1, _STRIP // width)
    for top in range(0, height, rows):
        strip = image.crop((0, top, width, min(top + rows, height)))
        seen.update(strip.tobytes())
    return seen.digest()


@contextlib.contextmanager
def damage_told():
    """A context that turns what is raised for one picture into `Unreadable`."""
    try:
        yield
    except Unreadable:
        raise
    except MemoryError as error:
        raise Unreadable("refused", _NO_MEMORY) from error
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


def _bits(image):
    """Bits of a channel of an image that is not loaded yet."""
    # The layout of the file's pixels, such as RGB;16B. A BMP's BGR;16 has 5 bits or 6.
    raw = str([tile.args for tile in image.tile if image.format in ("PNG", "TIFF")])
    told = re.search(r";(2|4|12|16|32|64)", raw)
    return int(told[1]) if told else {"1": 1, "I": 16, "F": 32}.get(image.mode, 8)


def _plain(image, bits):
    """A loaded image in the modes and with the transparent colour of `rendering`."""
    # PNG and PPM have 16 bits, which Pillow may spread over 32.
    spread = image.mode == "I" and image.format in ("PNG", "PPM")
    if spread or image.mode in ("I;16B", "I;16L", "I;16N"):
        info = image.info
        image = Image.fromarray(np.asarray(image).astype(np.uint16))
        image.info = info
    clear = image.info.get("transparency")
    # In a PNG it has as many bits as the file, of which Pillow makes 8.
    if image.mode == "L" and bits < 8 and isinstance(clear, int):
        image.info["transparency"] = clear * 255 // (2**bits - 1)
    if image.mode == "RGB" and bits > 8 and clear is not None:
        image.info["transparency"] = tuple(part >> (bits - 8) for part in clear)
    return image
