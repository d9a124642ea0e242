"""Random boxes of images on the device: seen from close by, or erased.

Images are uint8 [B, H, W, ch]. A box is drawn anew while it does not fit, at most 10
times.
"""

import jax
import jax.numpy as jnp
import numpy as np

_TRIALS = 10
_ZOOMED = (3 / 4, 4 / 3)  # width over height
_ERASED = (0.3, 1 / 0.3)  # height over width
_AREA = (0.02, 1 / 3)  # of what is erased
_MEAN, _STD = (
    255 * np.array(x) for x in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
)
_SLOPE = -0.5  # of the cubic kernel, as Pillow has it


def zoom(key, images, area, size=None):
    """A random box of each image, brought to `size` pixels a side, or to what it had.

    Szegedy et al. 2015 (arXiv:1409.4842): the share of the area is uniform on [area,
    1], the logarithm of the ratio of the sides between those of 3/4 and 4/3. If none
    fits, the whole image. The box is scaled by cubic convolution, as Pillow does it.
    """
    count, height, width, _ = images.shape
    shape = (height, width) if size is None else (size, size)
    share_key, shape_key, place_key = jax.random.split(key, 3)
    draws = count, _TRIALS
    share = jax.random.uniform(share_key, draws, minval=area)
    ratio = _log_uniform(shape_key, draws, _ZOOMED)
    surface = height * width * share
    sides = jnp.stack([jnp.sqrt(surface / ratio), jnp.sqrt(surface * ratio)], -1)
    sides, fits = _first_fitting(jnp.rint(sides), (height, width))
    whole = jnp.array([height, width], jnp.float32)
    sides = jnp.where(fits[:, None], sides, whole[None])
    corner = _corner(place_key, sides, whole)

    def seen(image, corner, sides):
        rows = _scaled(height, shape[0], corner[0], sides[0])
        columns = _scaled(width, shape[1], corner[1], sides[1])
        # Rounded in between, as Pillow does it.
        narrow = _grey(jnp.einsum("hwc,jw->hjc", image.astype(jnp.float32), columns))
        return _grey(jnp.einsum("ih,hjc->ijc", rows, narrow)).astype(jnp.uint8)

    return jax.vmap(seen)(images, corner, sides)


def erase(key, images, chance):
    """Noise in a random box of an image, of each with a probability of `chance`.

    Zhong et al. 2020 (arXiv:1708.04896), as timm has it: the area's share is uniform
    between 0.02 and 1/3, the logarithm of the ratio of the sides between those of 0.3
    and its inverse; a box that does not fit leaves the image as it is. Pixels are
    normal with ImageNet's mean and deviation, cut off at 0 and 255.
    """
    count, height, width, channels = images.shape
    keys = jax.random.split(key, 5)
    draws = count, _TRIALS
    low, high = _AREA
    share = jax.random.uniform(keys[0], draws, minval=low, maxval=high)
    ratio = _log_uniform(keys[1], draws, _ERASED)
    surface = height * width * share
    sides = jnp.stack([jnp.sqrt(surface * ratio), jnp.sqrt(surface / ratio)], -1)
    # timm's boxes are smaller than the image.
    sides, fits = _first_fitting(jnp.rint(sides), (height - 1, width - 1))
    corner = _corner(keys[2], sides, jnp.array([height, width], jnp.float32))
    chosen = fits & jax.random.bernoulli(keys[3], chance, (count,))

    def covered(axis, length):
        gap = jnp.arange(length)[None] - corner[:, axis, None]
        return (gap >= 0) & (gap < sides[:, axis, None])

    box = covered(0, height)[:, :, None] & covered(1, width)[:, None]
    noise = jax.random.normal(keys[4], images.shape)
    mean, std = (_of_channels(x, channels) for x in (_MEAN, _STD))
    noise = _grey(mean + std * noise).astype(jnp.uint8)
    return jnp.where((box & chosen[:, None, None])[..., None], noise, images)


def _grey(x):
    """The nearest whole numbers in 0..255."""
    return jnp.clip(jnp.rint(x), 0, 255)


def _of_channels(colour, channels):
    """A colour for images of three channels, its mean for others; [1, 1, 1, ch]."""
    found = colour if channels == 3 else np.full(channels, colour.mean())
    return jnp.asarray(found, jnp.float32).reshape(1, 1, 1, channels)


def _log_uniform(key, shape, bounds):
    low, high = np.log(bounds)
    return jnp.exp(jax.random.uniform(key, shape, minval=low, maxval=high))


def _first_fitting(sides, most):
    """Of sides [B, trials, 2] the first that are in 1..most, and whether any are."""
    limit = jnp.asarray(most, jnp.float32).reshape(1, 1, 2)
    fits = ((sides >= 1) & (sides <= limit)).all(-1)
    first = fits.argmax(1)
    return jnp.take_along_axis(sides, first[:, None, None], 1)[:, 0], fits.any(1)


def _corner(key, sides, whole):
    """Where boxes [B, 2] begin: anywhere where they fit, in whole pixels."""
    room = whole[None] - sides + 1
    return jnp.floor(jax.random.uniform(key, sides.shape) * room)


def _scaled(old, new, start, length):
    """Of which old pixels the new ones of a box along an axis are made, [new, old]."""
    scale = length / new
    centres = start + (jnp.arange(new) + 0.5) * scale - 0.5
    places = jnp.arange(old, dtype=jnp.float32)[None]
    gap = jnp.abs(places - centres[:, None]) / jnp.maximum(scale, 1)
    a = _SLOPE
    near = ((a + 2) * gap - (a + 3)) * gap**2 + 1
    far = ((a * gap - 5 * a) * gap + 8 * a) * gap - 4 * a
    weights = jnp.where(gap <= 1, near, jnp.where(gap < 2, far, 0))
    # What is outside of the box is not seen.
    weights = jnp.where((places >= start) & (places < start + length), weights, 0)
    return weights / weights.sum(1, keepdims=True)
