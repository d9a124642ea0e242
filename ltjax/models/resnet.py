"""The residual networks of He et al. (2016) for large images, without their head.

In torchvision's layout (its "v1.5": a bottleneck strides in its 3 x 3 convolution) and
under its names, so that weights travel both ways (`ltjax.models.weights`).
"""

from collections.abc import Callable
from functools import partial

import jax.numpy as jnp
from flax import linen as nn

from ltjax.models import activations
from ltjax.models.batch_norm import BatchNorm
from ltjax.models.convolution import HE_FAN_OUT, convolve
from ltjax.models.gradient import plain
from ltjax.models.patches import convolve_first, convolve_tiny, max_pool

PARTS = 5  # the stem and four stages
_TINY = 4  # pixels; below, the 3 x 3 convolution is one matrix product


class Conv(nn.Module):
    """Square convolution without bias, padded by half its size as PyTorch pads.

    `groups` cuts the channels into groups that do not see each other (ResNeXt).
    """

    channels: int
    size: int
    stride: int = 1
    groups: int = 1
    dtype: jnp.dtype = jnp.float32
    kernel_init: nn.initializers.Initializer = HE_FAN_OUT

    @nn.compact
    def __call__(self, x):
        """Activations [B, H, W, in] to [B, ceil(H / stride), ..., channels]."""
        kernel = self.param(
            "kernel",
            self.kernel_init,
            (self.size, self.size, x.shape[-1] // self.groups, self.channels),
        )
        x, kernel = x.astype(self.dtype), kernel.astype(self.dtype)
        if self.size == 1:
            # As a matrix product, whose gradients are fast inside a `scan` on a CPU.
            skipped = x[:, :: self.stride, :: self.stride]
            return jnp.tensordot(skipped, kernel[0, 0], axes=1)
        if self.groups > 1:
            return plain(x, kernel, self.stride, self.groups)
        if self.size > 3:
            return convolve_first(x, kernel, self.stride)
        if max(x.shape[1:3]) <= _TINY:
            return convolve_tiny(x, kernel, self.stride)
        return convolve(x, kernel, self.stride)


class Block(nn.Module):
    """act(shortcut(x) + gate(residual(x))), each convolution followed by batch norm.

    The residual is 1 x 1, 3 x 3, 1 x 1 with `inner` channels inside if `bottleneck`,
    else two 3 x 3. The shortcut is a 1 x 1 convolution where the shape changes. For
    `activation` and `gate` see `ResNet`.
    """

    channels: int
    inner: int
    stride: int
    bottleneck: bool
    groups: int = 1
    dtype: jnp.dtype = jnp.float32
    axis_name: str | None = None
    activation: Callable = activations.relu
    gate: Callable | None = None

    @nn.compact
    def __call__(self, x, train=False):
        """Activations [B, H, W, C] to [B, H', W', channels]."""
        conv = partial(Conv, dtype=self.dtype)
        norm, act = partial(BatchNorm, self.axis_name), self.activation
        if self.bottleneck:
            y = conv(self.inner, 1, name="conv1")(x)
            y = act(name="act1")(norm(name="bn1")(y, train))
            y = conv(self.inner, 3, self.stride, self.groups, name="conv2")(y)
            y = act(name="act2")(norm(name="bn2")(y, train))
            y = conv(self.channels, 1, name="conv3")(y)
            y = norm(name="bn3")(y, train)
        else:
            y = conv(self.inner, 3, self.stride, name="conv1")(x)
            y = act(name="act1")(norm(name="bn1")(y, train))
            y = conv(self.channels, 3, name="conv2")(y)
            y = norm(name="bn2")(y, train)
        if self.gate:
            y = self.gate(name="gate")(y, train)
        if self.stride > 1 or x.shape[-1] != self.channels:
            x = conv(self.channels, 1, self.stride, name="downsample_0")(x)
            x = norm(name="downsample_1")(x, train)
        last = act(name="act3" if self.bottleneck else "act2")
        return last(x.astype(y.dtype) + y)


class ResNet(nn.Module):
    """Feature extractor of a ResNet or a ResNeXt: a stem and four stages.

    `blocks` per stage, of `width`, 2 `width`, 4 `width` and 8 `width` channels, four
    times as many after bottlenecks. These are `groups` groups of `group_width` channels
    in the first stage if `width` is 64, and in proportion to the stage's channels else.
    Parts `first` to `last` (less one) run: part 0 is the stem, of 64 channels, 1 to 4
    the stages; the network may so be cut. The compute type is `dtype`; parameters,
    statistics and features are float32. `axis_name` pools batch norm over a mapped
    axis. `activation` and `gate` are those of `cifar_resnet.CifarResNet`.
    """

    blocks: tuple[int, int, int, int]
    bottleneck: bool = True
    groups: int = 1
    group_width: int = 64
    first: int = 0
    last: int | None = None
    dtype: jnp.dtype = jnp.float32
    axis_name: str | None = None
    width: int = 64
    activation: Callable = activations.relu
    gate: Callable | None = None

    parts = PARTS

    @property
    def dim(self):
        """Channels of the last map, dimensions of the features."""
        return self._channels(PARTS - 1)

    @nn.nowrap
    def part(self, name):
        """The part to which a parameter's first name belongs."""
        return part(name)

    @nn.compact
    def __call__(self, x, train=False):
        """Images [B, H, W, channels] to features [B, dim]: the mean over pixels.

        With `first` above 0, x is what the part before it returned; with a `last`, the
        activations are returned.
        """
        for part in range(self.first, PARTS if self.last is None else self.last):
            x = self._stage(part, x, train) if part else self._stem(x, train)
        return x.mean((1, 2), dtype=jnp.float32) if self.last is None else x

    def _channels(self, stage):
        return self.width * 2 ** (stage - 1) * (4 if self.bottleneck else 1)

    def _stem(self, x, train):
        x = Conv(64, 7, 2, dtype=self.dtype, name="conv1")(x)
        x = BatchNorm(self.axis_name, name="bn1")(x, train)
        return max_pool(self.activation(name="act1")(x))

    def _stage(self, stage, x, train):
        planes = self.width * 2 ** (stage - 1)
        for block in range(self.blocks[stage - 1]):
            x = Block(
                channels=self._channels(stage),
                inner=planes * self.groups * self.group_width // 64,
                stride=2 if stage > 1 and block == 0 else 1,
                bottleneck=self.bottleneck,
                groups=self.groups,
                dtype=self.dtype,
                axis_name=self.axis_name,
                activation=self.activation,
                gate=self.gate,
                name=f"layer{stage}_{block}",
            )(x, train)
        return x


def part(name):
    """The part, 0..4, to which a parameter's first name belongs: `layer3_1` is of 3."""
    return int(name[len("layer")]) if name.startswith("layer") else 0


resnet10 = partial(ResNet, blocks=(1, 1, 1, 1), bottleneck=False)
resnet50 = partial(ResNet, blocks=(3, 4, 6, 3))
resnet101 = partial(ResNet, blocks=(3, 4, 23, 3))
resnet152 = partial(ResNet, blocks=(3, 8, 36, 3))
# 32 groups of 4 channels (Xie et al., 2017).
resnext50 = partial(ResNet, blocks=(3, 4, 6, 3), groups=32, group_width=4)
resnext101 = partial(ResNet, blocks=(3, 4, 23, 3), groups=32, group_width=4)
