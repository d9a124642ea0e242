"""The 3 × 3 convolution of a CIFAR ResNet, with its own backward pass on a CPU."""

import math

import jax
import jax.numpy as jnp
from flax import linen as nn

from ltjax.models import gradient

# Normal, with the variance 2 / fan of He et al. (2015), by either fan.
HE_FAN_IN = nn.initializers.variance_scaling(2.0, "fan_in", "normal")
HE_FAN_OUT = nn.initializers.variance_scaling(2.0, "fan_out", "normal")
# Uniform within 1 / sqrt(fan-in), the default of PyTorch's layers: a variance of
# 1 / (3 fan-in), six times smaller than He's.
PYTORCH = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")

_AT_ONCE = 16  # images of a product of a kernel's gradient


def _gradients(x, kernel, dy, stride):
    if stride > 1:
        dy = _spread(dy, stride, x.shape)
    turned = jnp.flip(kernel, (0, 1)).transpose(0, 1, 3, 2)
    return gradient.plain(dy, turned), _kernel_gradient(x, dy).astype(kernel.dtype)


def _spread(dy, stride, shape):
    """dy as of stride 1: zeros at the pixels [H, W] of `shape` that were skipped."""
    ends = [shape[axis] - stride * (dy.shape[axis] - 1) - 1 for axis in (1, 2)]
    config = [(0, 0, 0), *((0, end, stride - 1) for end in ends), (0, 0, 0)]
    return jax.lax.pad(dy, jnp.zeros((), dy.dtype), config)


def _kernel_gradient(x, dy):
    """dK[r, s] = sum over pixels of x[h + r - 1, w + s - 1] dy[h, w]^T, float32.

    A convolution too, whose channels are the images and whose window is all of dy. Of
    `_AT_ONCE` images it stays in the cache. They come from one part of the batch for
    each device, so that devices which share a batch look at their own images, and
    exchange only sums, one for each product.
    """
    parts = math.gcd(len(x), jax.device_count())
    images = len(x) // parts
    chunk = math.gcd(images, max(_AT_ONCE // parts, 1))
    whole = [a.reshape(parts, images, *a.shape[1:]) for a in (x, dy)]

    def add(index, total):
        x, dy = (
            jax.lax.dynamic_slice_in_dim(a, index * chunk, chunk, axis=1).reshape(
                parts * chunk, *a.shape[2:]
            )
            for a in whole
        )
        return total + jax.lax.conv_general_dilated(
            x.transpose(3, 1, 2, 0),
            dy.transpose(1, 2, 0, 3),
            window_strides=(1, 1),
            padding=((1, 1), (1, 1)),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            preferred_element_type=jnp.float32,
        )

    zeros = jnp.zeros((x.shape[-1], 3, 3, dy.shape[-1]))
    total = jax.lax.fori_loop(0, images // chunk, add, zeros)
    return total.transpose(1, 2, 0, 3)


_convolve = gradient.written_on_cpu(_gradients)


def convolve(x, kernel, stride=1):
    """3 × 3 convolution, zeros for a border of one pixel, no bias.

    x [B, H, W, in], kernel [3, 3, in, out] to [B, ceil(H / stride), ..., out]. On a CPU
    the input gradient is a convolution with the turned kernel, over an output spread
    with zeros for a stride, and the kernel gradient a sum of convolutions over images.
    """
    return _convolve(x, kernel, stride)


class Convolution(nn.Module):
    """`convolve` with its kernel."""

    channels: int
    stride: int = 1
    dtype: jnp.dtype = jnp.float32
    kernel_init: nn.initializers.Initializer = HE_FAN_OUT

    @nn.compact
    def __call__(self, x):
        """Images [B, H, W, in] to [B, H', W', channels] of type `dtype`."""
        kernel = self.param(
            "kernel", self.kernel_init, (3, 3, x.shape[-1], self.channels)
        )
        return convolve(x.astype(self.dtype), kernel.astype(self.dtype), self.stride)
