"""Affine warps of one uint8 image [H, W, ch], the way Pillow does them.

A matrix [2, 3] takes a place (x, y, 1) of the result, in pixels from the upper left
corner, to the place of the image that is seen there. A kernel takes how far a place is
behind the centre of a pixel, in 0..1, and returns the pixels that are mixed: pairs of
steps from that pixel and weights.
"""

import itertools

import jax
import jax.numpy as jnp


def shear_x(slope):
    """Moves each row by slope times its height."""
    return _matrix((1, slope, 0), (0, 1, 0))


def shear_y(slope):
    """Moves each column by slope times its distance from the left."""
    return _matrix((1, 0, 0), (slope, 1, 0))


def translation(x, y):
    """Moves by pixels to the left and up."""
    return _matrix((1, 0, x), (0, 1, y))


def rotation(degrees, height, width):
    """Turns counter-clockwise around the centre."""
    angle = jnp.deg2rad(degrees)
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    x, y = width / 2, height / 2
    first = (cos, -sin, x - cos * x + sin * y)
    return _matrix(first, (sin, cos, y - sin * x - cos * y))


def nearest(behind):
    """The pixel that holds the place."""
    return [((behind >= 0.5).astype(jnp.int32), 1)]


def bilinear(behind):
    """Linear between 2 x 2 pixels."""
    return [(0, 1 - behind), (1, behind)]


def bicubic(behind):
    """Cubic convolution over 4 x 4 pixels with slope -1, as Pillow has it for warps."""
    t, u = behind, 1 - behind
    return [(-1, -t * u**2), (0, _inner(t)), (1, _inner(u)), (2, -u * t**2)]


def warp(image, matrix, fill, kernel=nearest):
    """The image seen through the matrix; `fill` [ch] where it shows nothing."""
    height, width, channels = image.shape
    shape = (height, width)
    down, across = (
        jax.lax.broadcasted_iota(jnp.float32, shape, axis) + 0.5 for axis in (0, 1)
    )
    x, y = (a * across + b * down + c for a, b, c in matrix)
    outside = (x < 0) | (x >= width) | (y < 0) | (y >= height)

    pixels = image.reshape(-1, channels)
    total = jnp.zeros(image.shape, jnp.float32)
    rows, columns = _mixed(y, height, kernel), _mixed(x, width, kernel)
    for (row, down), (column, across) in itertools.product(rows, columns):
        weight = jnp.broadcast_to(down * across, shape)[..., None]
        total += weight * pixels[row * width + column]
    seen = jnp.clip(total, 0, 255).astype(jnp.uint8)
    fill = jnp.broadcast_to(jnp.uint8(fill), image.shape)
    return jnp.where(outside[..., None], fill, seen)


def _matrix(*rows):
    return jnp.stack([jnp.stack([jnp.float32(x) for x in row]) for row in rows])


def _inner(t):
    return 1 + t**2 * (t - 2)


def _mixed(place, size, kernel):
    """Indices along one axis and their weights; beyond the edge is the last pixel."""
    centre = place - 0.5  # of a pixel
    pixel = jnp.floor(centre)
    for step, weight in kernel(centre - pixel):
        yield jnp.clip(pixel.astype(jnp.int32) + step, 0, size - 1), weight
