"""EfficientNet-Lite 0 to 2 (Tan and Le, 2019; TensorFlow's lite models) without head.

An EfficientNet less its gates, with ReLU6, so that it is fast on a CPU; stem, first and
last stage are the same in all sizes. Weights are under the names of the package
efficientnet-lite-pytorch (`ltjax.models.weights`). Borders are TensorFlow's: the odd
zero comes after. Stochastic depth and dropout, with which ImageNet was learnt, are left
out.
"""

import math
from functools import partial

import jax.numpy as jnp
from flax import linen as nn

from ltjax.models import depthwise
from ltjax.models.batch_norm import BatchNorm
from ltjax.models.convolution import HE_FAN_OUT
from ltjax.models.patches import convolve_padded
from ltjax.models.resnet import Conv

# Repeats, size of the kernel, stride, growth of the channels inside, channels.
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_STEM, _TOP = 32, 1280  # channels
# Factors of the channels, and of the repeats, of each number.
_SIZES = ((1.0, 1.0), (1.0, 1.1), (1.1, 1.2))

_norm = partial(BatchNorm, momentum=0.99, epsilon=1e-3)


def relu6(x):
    """x within 0..6."""
    return jnp.clip(x, 0, 6)


class Stem(nn.Module):
    """3 x 3 convolution of stride 2, batch norm, ReLU6."""

    dtype: jnp.dtype
    axis_name: str | None

    @nn.compact
    def __call__(self, x, train=False):
        """Images [B, H, W, channels] to [B, ceil(H / 2), ..., 32]."""
        x = _First(self.dtype, name="conv")(x)
        return relu6(_norm(self.axis_name, name="norm")(x, train))


class _First(nn.Module):
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x):
        shape = (3, 3, x.shape[-1], _STEM)
        kernel = self.param("kernel", HE_FAN_OUT, shape)
        x, kernel = x.astype(self.dtype), kernel.astype(self.dtype)
        zeros = [depthwise.border(length, 3, 2) for length in x.shape[1:3]]
        return convolve_padded(jnp.pad(x, ((0, 0), *zeros, (0, 0))), kernel, 2)


class Block(nn.Module):
    """x + project(depthwise(expand(x))), each followed by batch norm; two by ReLU6.

    Without x where the shape changes, without `expand` at a growth of 1.
    """

    channels: int
    size: int
    stride: int
    growth: int
    dtype: jnp.dtype = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x, train=False):
        """Activations [B, H, W, C] to [B, ceil(H / stride), ..., channels]."""
        conv = partial(Conv, size=1, dtype=self.dtype)
        norm = partial(_norm, self.axis_name)
        y, inside = x, x.shape[-1] * self.growth
        if self.growth > 1:
            y = conv(inside, name="expand")(y)
            y = relu6(norm(name="norm_expand")(y, train))
        y = Depthwise(self.size, self.stride, self.dtype, name="depthwise")(y)
        y = relu6(norm(name="norm_depthwise")(y, train))
        y = conv(self.channels, name="project")(y)
        y = norm(name="norm_project")(y, train)
        return x + y if x.shape == y.shape else y


class Depthwise(nn.Module):
    """`depthwise.convolve` with its kernel."""

    size: int
    stride: int = 1
    dtype: jnp.dtype = jnp.float32
    kernel_init: nn.initializers.Initializer = HE_FAN_OUT

    @nn.compact
    def __call__(self, x):
        """Activations [B, H, W, C] to [B, ceil(H / stride), ..., C]."""
        shape = (self.size, self.size, 1, x.shape[-1])
        kernel = self.param("kernel", self.kernel_init, shape).astype(self.dtype)
        return depthwise.convolve(x.astype(self.dtype), kernel, self.stride)


class Top(nn.Module):
    """1 x 1 convolution to 1280 channels, batch norm, ReLU6; the mean over pixels."""

    dtype: jnp.dtype
    axis_name: str | None

    @nn.compact
    def __call__(self, x, train=False):
        """Activations [B, H, W, C] to features [B, 1280], float32."""
        x = Conv(_TOP, 1, dtype=self.dtype, name="conv")(x)
        x = relu6(_norm(self.axis_name, name="norm")(x, train))
        return x.mean((1, 2), dtype=jnp.float32)


class EfficientNetLite(nn.Module):
    """Feature extractor of an EfficientNet-Lite, number 0, 1 or 2.

    Parts `first` to `last` (less one) run: part 0 is the stem, the next are blocks, the
    last one is the top. The compute type is `dtype`; parameters, statistics and
    features are float32. `axis_name` pools batch norm over a mapped axis.
    """

    number: int = 0
    dtype: jnp.dtype = jnp.float32
    axis_name: str | None = None
    first: int = 0
    last: int | None = None

    @property
    def dim(self):
        """Dimensions of the features."""
        return _TOP

    @property
    def parts(self):
        """The stem, blocks and the top."""
        return 2 + len(blocks(self.number))

    @nn.nowrap
    def part(self, name):
        """The part to which a parameter's first name belongs: `block3` is of 4."""
        if name.startswith("block"):
            return 1 + int(name.removeprefix("block"))
        return {"stem": 0, "top": self.parts - 1}[name]

    @nn.compact
    def __call__(self, x, train=False):
        """Images [B, H, W, channels] to features [B, 1280].

        With `first` above 0, x is what the part before it returned; with a `last`, what
        the part before that returns is returned.
        """
        how = {"dtype": self.dtype, "axis_name": self.axis_name}
        inner = enumerate(blocks(self.number))
        every = [
            lambda: Stem(**how, name="stem"),
            *(
                lambda at=at, shape=shape: Block(*shape, **how, name=f"block{at}")
                for at, shape in inner
            ),
            lambda: Top(**how, name="top"),
        ]
        for part in every[self.first : self.last]:
            x = part()(x, train)
        return x


def blocks(number):
    """(channels, size, stride, growth) of each block of EfficientNet-Lite `number`."""
    width, depth = _SIZES[number]
    found = []
    for at, (repeats, size, stride, growth, channels) in enumerate(_STAGES):
        if at not in (0, len(_STAGES) - 1):
            repeats = math.ceil(depth * repeats)
        channels = _eighths(width * channels)
        for repeat in range(repeats):
            found.append((channels, size, 1 if repeat else stride, growth))
    return found


def _eighths(channels):
    """The multiple of 8 that is nearest, and no less than nine tenths."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * channels else nearest + 8
