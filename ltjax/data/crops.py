"""What is cut from one picture, and how its colours are changed: on the host.

Pictures are RGB images of Pillow, of any size; what comes out is uint8 [size, size, 3].
All randomness comes from the generator given, which is asked equally often whatever the
picture: equal generators give equal pixels.
"""

import math
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageEnhance

from ltjax.data import decoding
from ltjax.data.rendering import USUAL, Rendering

RATIO = (3 / 4, 4 / 3)  # of the sides of a random crop
_TRIALS = 10
# Tests see the middle of a picture that is larger than what is trained on by this much.
_MARGIN = 256 / 224
# The middle of a picture is looked for in so much of its longer side, in shorter ones.
_LONGEST = 4
_COLOURS = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)


class Crop(NamedTuple):
    """How pictures become images."""

    size: int
    area: float | None = (
        None  # least share of a random resized crop; None: no such crop
    )
    pad: int = 0
    flip: bool = False
    jitter: float = 0.0
    rendering: Rendering = USUAL


def pixels_needed(recipe, augments):
    """The shorter side from which on a picture may be decoded at a fraction of its own.

    The smallest crop then still has `size` pixels a side.
    """
    if augments and recipe.area is not None:
        return math.ceil(recipe.size / math.sqrt(recipe.area * RATIO[0]))
    return 2 * tested_side(recipe)


def plain(image, recipe):
    """The image as it is tested.

    With random resized crops in training, the shorter side is scaled to size * 256/224
    and the middle cut out; otherwise the whole middle square is scaled to `size`.
    """
    side = tested_side(recipe)
    if side == recipe.size:
        return decoding.square(image, recipe.size)
    image = _shortened(image)
    width, height = (side * length // min(image.size) for length in image.size)
    whole = image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0)
    left, top = (round((length - recipe.size) / 2) for length in whole.size)
    return np.asarray(whole.crop((left, top, left + recipe.size, top + recipe.size)))


def augmented(rng, image, recipe):
    """The image as it is trained on: crop, flip, colours."""
    if recipe.area is not None:
        left, top, width, height = box(rng, *image.size, recipe.area)
        cut = image.crop((left, top, left + width, top + height))
        cut = cut.resize((recipe.size, recipe.size), Image.Resampling.BILINEAR)
    else:
        cut = Image.fromarray(decoding.square(image, recipe.size))
    if recipe.pad:
        left, top = (int(at) for at in rng.integers(0, 2 * recipe.pad + 1, 2))
        left, top = left - recipe.pad, top - recipe.pad
        cut = cut.crop((left, top, left + recipe.size, top + recipe.size))
    if recipe.flip and rng.random() < 0.5:
        cut = cut.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if recipe.jitter:
        cut = jittered(rng, cut, recipe.jitter)
    return np.asarray(cut)


def box(rng, width, height, area):
    """A random crop (left, top, width, height) of a picture, in whole pixels.

    Szegedy et al. 2015 (arXiv:1409.4842), as the field has it: the share of the area is
    uniform on [area, 1], the logarithm of the ratio width / height uniform between
    those of 3/4 and 4/3, the place uniform. What does not fit is drawn anew, at most 10
    times; then the largest middle crop within the bounds of the ratio is taken.
    """
    share, shape, across, down = rng.random((4, _TRIALS))
    surface = width * height * (area + share * (1 - area))
    low, high = np.log(RATIO)
    ratio = np.exp(low + shape * (high - low))
    widths = np.rint(np.sqrt(surface * ratio)).astype(int)
    heights = np.rint(np.sqrt(surface / ratio)).astype(int)
    fits = (widths >= 1) & (widths <= width) & (heights >= 1) & (heights <= height)
    if fits.any():
        at = int(fits.argmax())
        w, h = int(widths[at]), int(heights[at])
        return int(across[at] * (width - w + 1)), int(down[at] * (height - h + 1)), w, h
    w = min(width, round(height * RATIO[1]))
    h = min(height, round(width / RATIO[0]))
    return (width - w) // 2, (height - h) // 2, w, h


def jittered(rng, image, strength):
    """Brightness, contrast and saturation in random order.

    The factor of each is uniform between 1 - strength and 1 + strength.
    """
    factors = rng.uniform(max(0, 1 - strength), 1 + strength, len(_COLOURS))
    for at in rng.permutation(len(_COLOURS)):
        image = _COLOURS[at](image).enhance(factors[at])
    return image


def _shortened(image):
    """The middle of a very long image: what is far from it need not be scaled.

    As many pixels go on both ends, so that the middle stays where it was.
    """
    most = _LONGEST * min(image.size)
    cut = [max(0, length - most) // 2 for length in image.size]
    if not any(cut):
        return image
    left, top = cut
    return image.crop((left, top, image.width - left, image.height - top))


def tested_side(recipe):
    """To how many pixels the shorter side of a picture is scaled for tests."""
    return recipe.size if recipe.area is None else round(recipe.size * _MARGIN)
