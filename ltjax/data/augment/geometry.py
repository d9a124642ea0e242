"""Random changes of images, and their scaling, on the device inside the compiled step.

Images are uint8 [B, H, W, ch] until `normalise`. Every function is pure.
"""

import jax
import jax.numpy as jnp
import numpy as np

from ltjax.data.augment.warp import rotation, warp

_BLOCK = 256  # images counted at a time; NumPy copies them as 8-byte integers


def crop(key, images, pad):
    """Pads with zeros by `pad` and cuts the size back out at a random place per image.

    Vertical and horizontal offsets are independent and uniform on 0..2 pad.
    """
    batch, height, width, channels = images.shape
    edge = (pad, pad)
    padded = jnp.pad(images, ((0, 0), edge, edge, (0, 0)))
    offsets = jax.random.randint(key, (batch, 2), 0, 2 * pad + 1)

    def cut(image, offset):
        start = (offset[0], offset[1], 0)
        return jax.lax.dynamic_slice(image, start, (height, width, channels))

    return jax.vmap(cut)(padded, offsets)


def flip(key, images):
    """Mirrors each image left to right with probability 1/2."""
    mirrored = jax.random.bernoulli(key, shape=(len(images),))
    return jnp.where(mirrored[:, None, None, None], images[:, :, ::-1], images)


def rotate(key, images, degrees):
    """Turns each image around its centre by an angle uniform in -degrees..degrees.

    Each pixel is the nearest one of the image; what comes in from outside is 0.
    """
    batch, height, width, channels = images.shape
    angles = jax.random.uniform(key, (batch,), minval=-degrees, maxval=degrees)
    black = jnp.zeros(channels, jnp.uint8)

    def turn(image, angle):
        return warp(image, rotation(angle, height, width), black)

    return jax.vmap(turn)(images, angles)


def cutout(key, images, size):
    """Blackens a square of each image, around any of its pixels.

    DeVries and Taylor 2017 (arXiv:1708.04552). `size` pixels wide, less what lies
    outside; an odd size counts as the even one below.
    """
    batch, height, width, _ = images.shape
    centres = jax.random.randint(key, (batch, 2), 0, np.array([[height, width]]))

    def covered(axis, length):
        gap = jnp.arange(length)[None] - centres[:, axis, None]
        return (gap >= -(size // 2)) & (gap < size // 2)

    square = covered(0, height)[:, :, None] & covered(1, width)[:, None]
    return jnp.where(square[..., None], 0, images)


def moments(images):
    """Mean [ch] and standard deviation [ch] of the pixels in 0..1, float64.

    Exact for any number of images: taken from the 256-bin histogram of each channel.
    """
    images = np.asarray(images)
    histograms = np.zeros((images.shape[-1], 256), np.int64)
    for start in range(0, len(images), _BLOCK):
        for channel, histogram in enumerate(histograms):
            pixels = images[start : start + _BLOCK, ..., channel].ravel()
            histogram += np.bincount(pixels, minlength=256)
    share = histograms / histograms.sum(1, keepdims=True)
    values = np.arange(256) / 255
    mean = share @ values
    return mean, np.sqrt((share * (values - mean[:, None]) ** 2).sum(1))


def normalise(images, mean, std):
    """(pixels / 255 - mean) / std per channel, float32; 0 for a constant channel."""
    last = (1,) * (images.ndim - 1) + (-1,)
    mean, std = (jnp.asarray(x, jnp.float32).reshape(last) for x in (mean, std))
    pixels = jnp.asarray(images).astype(jnp.float32) / 255
    return (pixels - mean) / jnp.where(std > 0, std, 1)
