"""The 3 × 3 convolution of a CIFAR ResNet, with its own backward pass."""

from functools import partial

import jax
import jax.numpy as jnp
from flax import linen as nn


def _correlate(x, kernel, **window):
    """XLA's convolution in the one layout that every backend has a fast path for."""
    layout = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(x, kernel, dimension_numbers=layout, **window)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def convolve(x, kernel, stride=1):
    """3 × 3 convolution, zeros for a border of one pixel, no bias.

    x [B, H, W, in], kernel [3, 3, in, out] to [B, ceil(H / stride), ..., out].

    The gradients are written as convolutions of transposed arrays because XLA's CPU
    compiler puts other layouts in order at the top level only: inside a `scan` the
    derived gradients run in a scalar loop, 50 times slower. The numbers are the same.
    """
    return _correlate(
        x, kernel, window_strides=(stride, stride), padding=((1, 1), (1, 1))
    )


def _forward(x, kernel, stride):
    return convolve(x, kernel, stride), (x, kernel)


def _backward(stride, saved, dy):
    x, kernel = saved
    return _input_gradient(x, kernel, dy, stride), _kernel_gradient(x, dy, stride)


def _input_gradient(x, kernel, dy, stride):
    """The kernel turned by 180 degrees, over dy with stride - 1 zeros in between."""
    ends = [whole - stride * (part - 1) for whole, part in zip(x.shape[1:3], dy.shape[1:3])]
    return _correlate(
        dy,
        jnp.flip(kernel, (0, 1)).transpose(0, 1, 3, 2),
        window_strides=(1, 1),
        padding=[(1, end) for end in ends],
        lhs_dilation=(stride, stride),
    )


def _kernel_gradient(x, dy, stride):
    """A convolution over x with dy as its kernel; the batch is summed as channels."""
    ends = [2 + stride * (part - 1) - whole for whole, part in zip(x.shape[1:3], dy.shape[1:3])]
    return _correlate(
        x.transpose(3, 1, 2, 0),
        dy.transpose(1, 2, 0, 3),
        window_strides=(1, 1),
        padding=[(1, end) for end in ends],
        rhs_dilation=(stride, stride),
    ).transpose(1, 2, 0, 3)


convolve.defvjp(_forward, _backward)


class Convolution(nn.Module):
    """`convolve` with its kernel, He-normal by fan-out (He et al., 2015)."""

    channels: int
    stride: int = 1
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x):
        """Images [B, H, W, in] to [B, H', W', channels] of type `dtype`."""
        kernel = self.param(
            "kernel",
            nn.initializers.variance_scaling(2.0, "fan_out", "normal"),
            (3, 3, x.shape[-1], self.channels),
        )
        return convolve(x.astype(self.dtype), kernel.astype(self.dtype), self.stride)
