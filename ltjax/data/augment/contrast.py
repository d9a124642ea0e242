"""SimCLR's view of an image: colours and shapes far from its own.

Chen et al. 2020 (arXiv:2002.05709), without its blur, as it is for images of 32 pixels.
"""

import jax
import jax.numpy as jnp

from ltjax.data.augment import boxes, colour, geometry

_AREA = 0.2
_JITTERED, _GREY = 0.8, 0.2  # chances
_STRENGTH, _HUE = 0.4, 0.1


def view(key, images):
    """Zooms, flips, jitters of colours, greys; uint8 [B, H, W, ch] to the same."""
    keys = jax.random.split(key, 6)
    count, channels = len(images), images.shape[-1]
    images = geometry.flip(keys[1], boxes.zoom(keys[0], images, _AREA))
    if channels != 3:  # without colours there are brightness and contrast
        return _where(keys[2], _JITTERED, jitter(keys[3], images), images)
    changed = hue(
        jax.random.uniform(keys[4], (count,), minval=-_HUE, maxval=_HUE),
        jitter(keys[3], images),
    )
    images = _where(keys[2], _JITTERED, changed, images)
    return _where(keys[5], _GREY, jax.vmap(colour.grey)(images), images)


def jitter(key, images):
    """Brightness, contrast and saturation, by factors within 0.6..1.4 each."""
    low, high = 1 - _STRENGTH, 1 + _STRENGTH
    factors = jax.random.uniform(key, (len(images), 3), minval=low, maxval=high)

    def change(image, factors):
        for factor, other in zip(factors, (colour.black, colour.flat, colour.grey)):
            image = colour.blend(other(image), image, factor)
        return image

    return jax.vmap(change)(images, factors)


def hue(turns, images):
    """Colours [B, H, W, 3] moved around the circle by a share [B] of it.

    Of the hexagon of hue, saturation and value, as Pillow has it; grey stays grey.
    """
    x = images.astype(jnp.float32)
    value, least = x.max(-1), x.min(-1)
    span = value - least
    red, green, blue = x[..., 0], x[..., 1], x[..., 2]
    safe = jnp.where(span > 0, span, 1)
    place = jnp.where(
        value == red,
        (green - blue) / safe,
        jnp.where(value == green, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    place = (place + 6 * turns[:, None, None]) % 6
    # Each colour is a trapezium over the hexagon: full around its own corner.
    parts = [
        jnp.clip(abs((place - corner + 3) % 6 - 3) - 1, 0, 1) for corner in (0, 2, 4)
    ]
    found = value[..., None] - span[..., None] * jnp.stack(parts, -1)
    return jnp.clip(jnp.rint(found), 0, 255).astype(jnp.uint8)


def _where(key, chance, changed, images):
    chosen = jax.random.bernoulli(key, chance, (len(images),))
    return jnp.where(chosen[:, None, None, None], changed, images)
