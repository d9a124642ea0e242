"""Convolutions as matrix products over patches, and max pooling over slices.

For the shapes for which XLA's CPU compiler has no fast kernel, or no fast gradient
inside a `scan`.
"""

import jax
import jax.numpy as jnp

from ltjax.models import gradient


def patches(x, size, stride=1):
    """The `size` x `size` neighbourhoods of every `stride`-th pixel, zeros outside.

    x [B, H, W, C] to [B, ceil(H / stride), ceil(W / stride), size * size * C].
    """
    half = (size // 2, size // 2)
    return inside(jnp.pad(x, ((0, 0), half, half, (0, 0))), size, stride)


def inside(x, size, stride=1):
    """The same of x as it is, [B, (H - size) // stride + 1, ..., size * size * C]."""
    height, width = ((length - size) // stride + 1 for length in x.shape[1:3])
    rows, columns = (
        [slice(i, i + stride * (length - 1) + 1, stride) for i in range(size)]
        for length in (height, width)
    )
    return jnp.concatenate([x[:, r, s] for r in rows for s in columns], -1)


def convolve_tiny(x, kernel, stride=1):
    """A convolution as one matrix product; for images of a few pixels.

    x [B, H, W, in], kernel [size, size, in, out]. At 2 x 2 pixels it is 100 times
    faster than the compiler's own on a CPU, and it never is slower up to 7 x 7.
    """
    flat = kernel.reshape(-1, kernel.shape[-1])
    return jnp.tensordot(patches(x, kernel.shape[0], stride), flat, axes=1)


def _kernel_gradient(x, kernel, dy, stride, seen=patches):
    def add(index, total):
        # One image at a time, so that its patches stay in the cache.
        image, slope = (jax.lax.dynamic_slice_in_dim(a, index, 1) for a in (x, dy))
        found = seen(image, kernel.shape[0], stride)
        return total + jnp.einsum(
            "bhwi,bhwj->ij", found, slope, preferred_element_type=jnp.float32
        )

    zeros = jnp.zeros((kernel[..., 0].size, kernel.shape[-1]))
    total = jax.lax.fori_loop(0, len(x), add, zeros)
    return total.reshape(kernel.shape).astype(kernel.dtype)


def _gradients(x, kernel, dy, stride):
    # No one asks for the gradient of images: what computes it is then left out.
    dx, _ = gradient.derived(x, kernel, dy, stride)
    return dx, _kernel_gradient(x, kernel, dy, stride)


def _gradients_inside(x, kernel, dy, stride):
    turned = jnp.flip(kernel, (0, 1)).transpose(0, 1, 3, 2)
    return gradient.plain(dy, turned), _kernel_gradient(x, kernel, dy, stride)


_convolve_first = gradient.written_on_cpu(_gradients)


def convolve_first(x, kernel, stride=1):
    """The convolution of a network's first layer: large kernel, few channels.

    x [B, H, W, in], kernel [size, size, in, out], padded by half its size. On a CPU the
    kernel's gradient is a sum of matrix products, one for each image.
    """
    return _convolve_first(x, kernel, stride)


def _gradients_padded(x, kernel, dy, stride):
    dx, _ = gradient.derived(x, kernel, dy, stride, gradient.inside)
    return dx, _kernel_gradient(x, kernel, dy, stride, inside)


_convolve_padded = gradient.written_on_cpu(_gradients_padded, gradient.inside)


def convolve_padded(x, kernel, stride=1):
    """`convolve_first` of images that have their border already."""
    return _convolve_padded(x, kernel, stride)


_convolve_inside = gradient.written_on_cpu(_gradients_inside)


def convolve_inside(x, kernel):
    """The same within a network, of few channels and stride 1.

    There the input's gradient is asked for: a convolution with the turned kernel.
    """
    return _convolve_inside(x, kernel, 1)


def max_pool(x):
    """Largest value of each 3 x 3 window, stride 2, one pixel of border.

    x [B, H, W, C] to [B, ceil(H / 2), ceil(W / 2), C]. The gradient goes to the first
    of equal values in reading order. Selections over slices: their gradient is a
    selection too, where that of a window reduction is a slow scatter.
    """
    return _largest(_largest(x, 2), 1)


def _largest(x, axis):
    """Of every second element along `axis`, the larger of it and its two neighbours."""
    length = -(-x.shape[axis] // 2)
    border = [(0, 0)] * x.ndim
    border[axis] = (1, 1)
    x = jnp.pad(x, border, constant_values=-jnp.inf)
    first, second, third = (
        jax.lax.slice_in_dim(x, i, i + 2 * length - 1, 2, axis) for i in range(3)
    )
    best = jnp.where(second > first, second, first)
    return jnp.where(third > best, third, best)
