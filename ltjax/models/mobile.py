"""Inverted bottlenecks with depthwise convolutions (Tan and Le, 2019), as MetaFormer's.

Unlike others', their batch norm has an epsilon of 0.01, and the squeeze is to a quarter
of the channels that come in.
"""

from functools import partial

import jax
import jax.numpy as jnp
from flax import linen as nn

from ltjax.models import convolution, depthwise
from ltjax.models.batch_norm import BatchNorm
from ltjax.models.convolution import HE_FAN_OUT
from ltjax.models.patches import convolve_tiny

_EPSILON = 0.01
_EXPANSION = 4
_TINY = 4  # pixels; below, a 3 x 3 convolution is one matrix product


def uniform(bound):
    """Initial values within +-`bound`, all as likely."""

    def init(key, shape, dtype=jnp.float32):
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init


class Conv(nn.Module):
    """A square convolution, padded by half its size, with or without a bias."""

    channels: int
    size: int = 3
    stride: int = 1
    bias: bool = False
    alone: bool = False  # each channel by itself
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x):
        """Activations [B, H, W, in] to [B, ceil(H / stride), ..., channels]."""
        seen = 1 if self.alone else x.shape[-1]
        shape = self.size, self.size, seen, self.channels
        kernel = self.param("kernel", HE_FAN_OUT, shape)
        x, kernel = x.astype(self.dtype), kernel.astype(self.dtype)
        if self.alone:
            half = self.size // 2, self.size // 2
            y = depthwise.convolve(x, kernel, self.stride, (half, half))
        elif self.size == 1:
            # As a matrix product, whose gradients are fast inside a `scan` on a CPU.
            y = jnp.tensordot(x, kernel[0, 0], axes=1)
        elif max(x.shape[1:3]) <= _TINY:
            y = convolve_tiny(x, kernel, self.stride)
        else:
            y = convolution.convolve(x, kernel, self.stride)
        if not self.bias:
            return y
        bound = (self.size**2 * seen) ** -0.5
        bias = self.param("bias", uniform(bound), (self.channels,))
        return y + bias.astype(self.dtype)[None, None, None]


def dropped(module, x, rate, train):
    """x, of which whole examples are left out in training; the others grow for it.

    Without a stream "dropout" nothing is left out.
    """
    if not (rate and train and module.has_rng("dropout")):
        return x
    keep = 1 - rate
    shape = (len(x), *(1,) * (x.ndim - 1))
    kept = jax.random.bernoulli(module.make_rng("dropout"), keep, shape)
    return jnp.where(kept, x / keep, 0).astype(x.dtype)


class MBConv(nn.Module):
    """Expansion, depthwise convolution, squeeze and excitation, projection.

    A shortcut where the shape stays. Each convolution is followed by batch norm, and
    by swish unless it is the last.
    """

    channels: int
    stride: int = 1
    drop: float = 0.0
    dtype: jnp.dtype = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x, train=False):
        """Activations [B, H, W, C] to [B, H', W', channels]."""
        norm = partial(BatchNorm, self.axis_name, epsilon=_EPSILON)
        conv = partial(Conv, dtype=self.dtype)
        channels = x.shape[-1]
        wide = _EXPANSION * channels
        y = nn.silu(norm(name="norm0")(conv(wide, 1, name="expand")(x), train))
        y = conv(wide, 3, self.stride, alone=True, name="depthwise")(y)
        y = nn.silu(norm(name="norm1")(y, train))
        seen = y.mean((1, 2), keepdims=True, dtype=jnp.float32)
        point = partial(conv, size=1, bias=True)
        seen = nn.silu(point(max(1, channels // 4), name="reduce")(seen))
        y = y * nn.sigmoid(point(wide, name="excite")(seen)).astype(y.dtype)
        y = norm(name="norm2")(conv(self.channels, 1, name="project")(y), train)
        if self.stride > 1 or channels != self.channels:
            return y
        return x.astype(y.dtype) + dropped(self, y, self.drop, train)
