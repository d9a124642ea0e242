"""The residual networks of He et al. (2016) for small images, without their head."""

from collections.abc import Callable
from functools import partial

import jax.numpy as jnp
from flax import linen as nn

from ltjax.models import activations
from ltjax.models.batch_norm import BatchNorm
from ltjax.models.convolution import HE_FAN_OUT, Convolution
from ltjax.models.resnet import Conv

PARTS = 4  # the stem and three stages


def shortcut(x, channels, stride):
    """Option A of He et al.: every `stride`-th pixel, the new channels zero.

    The zeros are halved before and after the old channels, as is usual on CIFAR.
    x [B, H, W, C] to [B, ceil(H / stride), ceil(W / stride), channels]. Raises
    `ValueError` for fewer channels than there are.
    """
    new = channels - x.shape[-1]
    if new < 0:
        raise ValueError(
            f"{x.shape[-1]} channels become {channels}; shortcut A only adds channels"
        )
    pad = ((0, 0), (0, 0), (0, 0), (new // 2, new - new // 2))
    return jnp.pad(x[:, ::stride, ::stride], pad)


class Block(nn.Module):
    """Basic block: act(shortcut(x) + gate(norm(conv(act(norm(conv(x))))))).

    With `projection` the shortcut is option B of He et al., a 1 x 1 convolution and
    batch norm where the shape changes, else option A, without parameters. For
    `activation` and `gate` see `CifarResNet`.
    """

    channels: int
    stride: int = 1
    dtype: jnp.dtype = jnp.float32
    axis_name: str | None = None
    projection: bool = False
    kernel_init: nn.initializers.Initializer = HE_FAN_OUT
    activation: Callable = activations.relu
    gate: Callable | None = None

    @nn.compact
    def __call__(self, x, train=False):
        """Activations [B, H, W, C] to [B, H', W', channels]."""
        conv = partial(Convolution, dtype=self.dtype, kernel_init=self.kernel_init)
        y = conv(self.channels, self.stride, name="conv1")(x)
        y = BatchNorm(self.axis_name, name="norm1")(y, train)
        y = self.activation(name="act1")(y)
        y = conv(self.channels, name="conv2")(y)
        y = BatchNorm(self.axis_name, name="norm2")(y, train)
        if self.gate:
            y = self.gate(name="gate")(y, train)
        return self.activation(name="act2")(self._shortcut(x, train) + y)

    def _shortcut(self, x, train):
        if not self.projection:
            return shortcut(x, self.channels, self.stride)
        if self.stride == 1 and x.shape[-1] == self.channels:
            return x
        conv = partial(Conv, dtype=self.dtype, kernel_init=self.kernel_init)
        x = conv(self.channels, 1, self.stride, name="projection")(x)
        return BatchNorm(self.axis_name, name="projection_norm")(x, train)


class CifarResNet(nn.Module):
    """Feature extractor of a CIFAR ResNet: depth 20, 32, 44, 56, or any 6n + 2.

    Three stages of n blocks with width, 2 width and 4 width channels. Depth 8 serves
    images as small as 8 × 8. Parts `first` to `last` (less one) run: part 0 is the
    stem, 1 to 3 the stages; the network may so be cut. The compute type is `dtype`;
    parameters, statistics and features are float32. `axis_name` pools batch norm over a
    mapped axis. `projection` chooses the shortcut, see `Block`.

    `activation(name=...)` builds what stands in each place of a ReLU, such as
    `partial(activations.Aglu)`, and `gate(name=...)` what a block's residual goes
    through, such as `partial(gates.Se, 4)`; None: nothing.
    """

    depth: int = 32
    width: int = 16
    dtype: jnp.dtype = jnp.float32
    axis_name: str | None = None
    first: int = 0
    last: int | None = None
    projection: bool = False
    kernel_init: nn.initializers.Initializer = HE_FAN_OUT
    activation: Callable = activations.relu
    gate: Callable | None = None

    parts = PARTS

    @property
    def dim(self):
        """Channels of the last map, dimensions of the features."""
        return 4 * self.width

    @nn.compact
    def __call__(self, x, train=False):
        """Images [B, H, W, channels] to features [B, dim]: the mean over pixels.

        With `first` above 0, x is what the part before it returned; with a `last`, the
        activations are returned.
        """
        blocks, rest = divmod(self.depth - 2, 6)
        if blocks < 1 or rest:
            raise ValueError(f"depth {self.depth} is not 8, 14, 20, ... = 6n + 2")
        for part in range(self.first, PARTS if self.last is None else self.last):
            x = self._stage(part, blocks, x, train) if part else self._stem(x, train)
        return x.mean((1, 2), dtype=jnp.float32) if self.last is None else x

    def _stem(self, x, train):
        conv = partial(Convolution, dtype=self.dtype, kernel_init=self.kernel_init)
        x = conv(self.width, name="conv")(x)
        x = BatchNorm(self.axis_name, name="norm")(x, train)
        return self.activation(name="act")(x)

    def _stage(self, stage, blocks, x, train):
        for block in range(blocks):
            x = Block(
                channels=self.width * 2 ** (stage - 1),
                stride=2 if stage > 1 and block == 0 else 1,
                dtype=self.dtype,
                axis_name=self.axis_name,
                projection=self.projection,
                kernel_init=self.kernel_init,
                activation=self.activation,
                gate=self.gate,
                name=f"stage{stage}_block{block + 1}",
            )(x, train)
        return x
