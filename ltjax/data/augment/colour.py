"""Changes of the pixels of one uint8 image [H, W, ch], the way Pillow does them.

Either each value is looked up in a table [256, ch], or the image is blended with one
that lacks something: its colours, its contrast, its light or its sharpness.
"""

import jax.numpy as jnp


def look_up(image, table):
    """The table's value for each of the image's."""
    values = image.reshape(-1, image.shape[-1]).astype(jnp.int32)
    found = jnp.take_along_axis(table.astype(jnp.uint8), values, axis=0)
    return found.reshape(image.shape)


def invert(image):
    """The table 255 - value."""
    return 255 - _values(image)


def posterize(image, bits):
    """The table that keeps the upper bits, 0..8."""
    lost = 8 - jnp.asarray(bits, jnp.int32)
    return (_values(image) >> lost) << lost


def solarize(image, threshold):
    """The table that inverts what is not below the threshold."""
    values = _values(image)
    return jnp.where(values < threshold, values, 255 - values)


def solarize_add(image, amount):
    """The table that lightens what is below 128."""
    values, amount = _values(image), jnp.asarray(amount, jnp.int32)
    return jnp.where(values < 128, jnp.minimum(values + amount, 255), values)


def autocontrast(image):
    """The table that stretches each channel to 0..255; a constant one stays."""
    values = _values(image)
    low, high = (jnp.int32(x)[None] for x in (image.min((0, 1)), image.max((0, 1))))
    stretched = (values - low) * 255 // jnp.maximum(high - low, 1)
    return jnp.where(high > low, jnp.clip(stretched, 0, 255), values)


def equalize(image):
    """The table that makes all values of each channel about equally frequent."""
    values, counts = _values(image), _histogram(image)
    below = counts.cumsum(0) - counts
    most = jnp.take_along_axis(below, jnp.int32(image.max((0, 1)))[None], axis=0)
    step = most // 255
    spread = jnp.minimum((step // 2 + below) // jnp.maximum(step, 1), 255)
    return jnp.where(step > 0, spread, values)


def blend(degenerate, image, factor):
    """degenerate + factor * (image - degenerate), cut to 0..255 and rounded down."""
    start, end = (x.astype(jnp.float32) for x in (degenerate, image))
    return jnp.clip(start + factor * (end - start), 0, 255).astype(jnp.uint8)


def grey(image):
    """Without colours: 0.299 R + 0.587 G + 0.114 B, rounded; one channel as it is."""
    return jnp.broadcast_to(_luma(image), image.shape).astype(jnp.uint8)


def flat(image):
    """Without contrast: the mean of `grey`, rounded, everywhere."""
    luma = _luma(image)
    mean = (2 * luma.sum() + luma.size) // (2 * luma.size)
    return jnp.full(image.shape, mean, jnp.uint8)


def black(image):
    """Without light."""
    return jnp.zeros_like(image)


def smooth(image):
    """Blurred: mean of 3 x 3 pixels, the middle one five times; the border stays."""
    height, width, _ = image.shape
    wide = image.astype(jnp.int32)
    total = 4 * wide[1:-1, 1:-1]
    for row in range(3):
        for column in range(3):
            total += wide[row : height - 2 + row, column : width - 2 + column]
    return image.at[1:-1, 1:-1].set(((2 * total + 13) // 26).astype(jnp.uint8))


def _values(image):
    """0..255 for each channel, [256, ch]."""
    values = jnp.arange(256, dtype=jnp.int32)[:, None]
    return jnp.broadcast_to(values, (256, image.shape[-1]))


def _histogram(image):
    channels = image.shape[-1]
    index = image.reshape(-1, channels), jnp.arange(channels)[None]
    return jnp.zeros((256, channels), jnp.int32).at[index].add(1)


def _luma(image):
    """Brightness [H, W, 1], int32; as whole numbers of 1 / 65536, as in Pillow."""
    if image.shape[-1] == 1:
        return image.astype(jnp.int32)
    red, green, blue = jnp.moveaxis(image.astype(jnp.int32), -1, 0)
    luma = (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16
    return luma[..., None]
