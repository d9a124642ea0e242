"""The one shape to which any image is brought, as the images of a run were."""

from typing import NamedTuple

import numpy as np
from PIL import Image

from ltjax.data import crops, decoding, rendering
from ltjax.data.rendering import USUAL, Rendering
from ltjax.mistake import Mistake

_GREY = frozenset(("1", "L", "LA", "La", "I", "F"))  # of Pillow's modes, besides I;16


class Fitted(NamedTuple):
    """An image of the shape, and what that took."""

    image: np.ndarray  # uint8 [H, W, ch]
    resized: bool
    recoloured: bool


class Shape(NamedTuple):
    """Height, width and channels of all images."""

    height: int
    width: int
    channels: int
    area: float | None = None  # `augment.crop_area`, by which tests see the middle
    rendering: Rendering = USUAL

    def of_picture(self, seen):
        """A `decoding.Picture` as `Fitted`."""
        grey = seen.mode in _GREY or seen.mode.startswith("I;")
        resized = seen.image.size != (self.width, self.height)
        image = _coloured(self._cut(seen.image), self.channels)
        return Fitted(image, resized, grey != (self.channels == 1))

    def of_array(self, image):
        """An array, uint8 [h, w, c] of c that `check` lets pass, likewise."""
        resized = image.shape[:2] != (self.height, self.width)
        recoloured = image.shape[-1] != self.channels
        if recoloured and image.shape[-1] == 4:
            image = self._opaque(image)
        if resized:
            layers = (Image.fromarray(layer) for layer in np.moveaxis(image, -1, 0))
            image = np.stack([self._cut(layer) for layer in layers], -1)
        return Fitted(_coloured(image, self.channels), resized, recoloured)

    def check(self, place, channels):
        """Raises `Mistake` where images of so many channels cannot become these."""
        known = channels in (1, 3, 4) and self.channels in (1, 3)
        if channels != self.channels and not known:
            raise Mistake(
                f"{place} has images of {channels} channels, the run's have "
                f"{self.channels}; wanted as many"
            )

    def least_side(self):
        """The shorter side from which on a JPEG may be decoded at a fraction of it."""
        if self.height != self.width:
            return 2 * max(self.height, self.width)
        return crops.pixels_needed(self.recipe(), augments=False)

    def __str__(self):
        return f"{self.height} x {self.width} x {self.channels}"

    def _cut(self, image):
        if self.height != self.width:
            return decoding.fitted(image, self.height, self.width)
        return crops.plain(image, self.recipe())

    def recipe(self):
        """What is cut from a picture of a square shape."""
        return crops.Crop(self.height, self.area)

    def _opaque(self, image):
        """An array with alpha as its file would be shown, uint8 [H, W, 3]."""
        whole = Image.fromarray(np.ascontiguousarray(image))
        return np.asarray(rendering.rgb(whole, 8, self.rendering))


def _coloured(image, channels):
    """Grey images in RGB, RGB in grey; or the image as it is."""
    if image.shape[-1] == channels:
        return image
    if image.shape[-1] == 1:
        return np.repeat(image, channels, -1)
    colours = np.ascontiguousarray(image)
    return np.asarray(Image.fromarray(colours).convert("L"))[..., None]
