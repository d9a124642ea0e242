"""The pixels of a decoded image as 8-bit RGB: one scale, one background for a set."""

from typing import NamedTuple

import numpy as np
from PIL import Image, ImageColor

from ltjax.data.unreadable import Unreadable

# Grey pixels of more than 8 bits; of the last two no range is known.
DEEP = ("I;16", "I", "F")
_STRIP = 2**20  # pixels scaled at a time


class Rendering(NamedTuple):
    """How the images of a set are shown; the same for training and prediction."""

    # Red, green and blue behind what is transparent; None: alpha is left out.
    background: tuple[int, int, int] | None = (255, 255, 255)
    # The values of deep pixels that become 0 and 255; None: the upper 8 of 16 bits.
    range: tuple[float, float] | None = None


USUAL = Rendering()


def of_words(background, span):
    """The `Rendering` of `data.background`, a colour's name or "#rrggbb", and range."""
    return Rendering(background and ImageColor.getrgb(background), span)


def rgb(image, bits, rendering):
    """A decoded image of any mode, of so many bits a channel, as 8-bit RGB.

    It is the image itself where it is RGB: another copy of a large one is memory.
    Raises `Unreadable` where the rendering does not say how.
    """
    if image.mode in DEEP:
        return _of_deep(image, bits, rendering)
    if bits > 8 and rendering.range is not None:
        raise Unreadable(
            "refused",
            f"colours of {bits} bits, of which 8 can be read; data.range is for grey "
            "images",
        )
    if rendering.background is not None and image.has_transparency_data:
        return over(image, rendering.background)
    if image.mode == "RGB":
        return image
    if image.mode == "P" and image.has_transparency_data:
        image = image.convert("RGBA")  # Pillow warns of what is left out
    try:
        return image.convert("RGB")
    except ValueError as error:
        raise Unreadable("refused", f"mode {image.mode} has no RGB form") from error


def over(image, background):
    """An image with transparency of any kind before a colour, as RGB."""
    covering = image if image.mode == "RGBA" else image.convert("RGBA")
    shown = Image.new("RGB", image.size, background)
    shown.paste(covering, mask=covering)
    return shown


def has_clear(image):
    """Whether there are pixels that are not wholly opaque."""
    if not image.has_transparency_data:
        return False
    if image.mode in DEEP:
        return bool((np.asarray(image) == image.info["transparency"]).any())
    return image.convert("RGBA").getextrema()[3][0] < 255


def span(image):
    """The least and the largest finite value of a deep image; None if it is none."""
    if image.mode not in DEEP:
        return None
    ends = []
    for strip in _strips(np.asarray(image)):
        finite = strip[np.isfinite(strip)]
        ends += [finite.min(), finite.max()] if finite.size else []
    return (float(min(ends)), float(max(ends))) if ends else None


def _of_deep(image, bits, rendering):
    if rendering.range is None and image.mode != "I;16":
        low, high = span(image) or (np.nan, np.nan)
        raise Unreadable(
            "refused",
            f"{bits}-bit pixels, {low:.6g} to {high:.6g}, of no known range; "
            "--data.range LOW HIGH gives that of the whole set",
        )
    values = np.asarray(image)
    levels = np.empty(values.shape, np.uint8)
    for strip, rows in zip(_strips(values), _strips(levels)):
        if rendering.range is None:
            rows[:] = strip >> (bits - 8)
        else:
            rows[:] = scaled(strip, *rendering.range)
    shown = Image.fromarray(levels).convert("RGB")
    clear = image.info.get("transparency")
    if clear is not None and rendering.background is not None:
        shown.paste(rendering.background, mask=Image.fromarray(values == clear))
    return shown


def scaled(values, low, high):
    """Levels 0..255, uint8: of `low`, of `high`, rounded between, clipped beyond.

    What is not a number becomes 0.
    """
    with np.errstate(over="ignore"):
        levels = (np.asarray(values, np.float64) - low) * (255 / (high - low))
    return np.rint(np.clip(np.nan_to_num(levels, nan=0), 0, 255)).astype(np.uint8)


def _strips(values):
    """An array [H, W] in parts of some rows each: what is computed of them is small."""
    rows = max(1, _STRIP // values.shape[1])
    return (values[top : top + rows] for top in range(0, len(values), rows))
