"""Images of other sizes, by cubic convolution as PyTorch has it."""

import jax.numpy as jnp
import numpy as np

_PLAIN, _SMOOTH = -0.75, -0.5  # Keys' a, without and with antialiasing


def bicubic(images, shape, antialias=False):
    """Images [..., H, W, ch] as float32 [..., *shape, ch].

    Pixels are squares: their corners stay corners, not their centres. Beyond an edge is
    the last pixel. Without `antialias` each pixel is made of 4 x 4, however many there
    are; with it of all that it covers, whose weights beyond an edge are left out.
    """
    images = jnp.asarray(images, jnp.float32)
    for axis, new in zip((-3, -2), shape):
        weights = _weights(images.shape[axis], new, antialias)
        moved = jnp.tensordot(images, weights, axes=((axis,), (1,)))
        images = jnp.moveaxis(moved, -1, axis)
    return images


def _weights(old, new, antialias):
    """Of which old pixels each new one is made along an axis, float32 [new, old]."""
    scale = old / new
    centres = (np.arange(new) + 0.5) * scale - 0.5
    if antialias:
        gap = (np.arange(old) - centres[:, None]) / max(scale, 1)
        weights = _cubic(gap, _SMOOTH)
        return np.float32(weights / weights.sum(1, keepdims=True))
    weights = np.zeros((new, old))
    for step in range(-1, 3):
        pixels = np.floor(centres).astype(int) + step
        share = _cubic(centres - pixels, _PLAIN)
        np.add.at(weights, (np.arange(new), pixels.clip(0, old - 1)), share)
    return np.float32(weights)


def _cubic(gap, a):
    """Keys' kernel (1981) of the distance from a pixel."""
    x = np.abs(gap)
    near = ((a + 2) * x - (a + 3)) * x**2 + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0))
