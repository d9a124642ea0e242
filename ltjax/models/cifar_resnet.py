"""The residual networks of He et al. (2016) for small images, without their head."""

import jax.numpy as jnp
from flax import linen as nn

from ltjax.models.batch_norm import BatchNorm
from ltjax.models.convolution import Convolution


def shortcut(x, channels, stride):
    """Option A of He et al.: every `stride`-th pixel, the new channels zero.

    The zeros are halved before and after the old channels, as is usual on CIFAR.
    x [B, H, W, C] to [B, ceil(H / stride), ceil(W / stride), channels].
    """
    new = channels - x.shape[-1]
    pad = ((0, 0), (0, 0), (0, 0), (new // 2, new - new // 2))
    return jnp.pad(x[:, ::stride, ::stride], pad)


class Block(nn.Module):
    """Basic block: relu(shortcut(x) + norm(conv(relu(norm(conv(x))))))."""

    channels: int
    stride: int = 1
    dtype: jnp.dtype = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x, train=False):
        """Activations [B, H, W, C] to [B, H', W', channels]."""
        y = Convolution(self.channels, self.stride, self.dtype, name="conv1")(x)
        y = nn.relu(BatchNorm(self.axis_name, name="norm1")(y, train))
        y = Convolution(self.channels, 1, self.dtype, name="conv2")(y)
        y = BatchNorm(self.axis_name, name="norm2")(y, train)
        return nn.relu(shortcut(x, self.channels, self.stride) + y)


class CifarResNet(nn.Module):
    """Feature extractor of a CIFAR ResNet: depth 20, 32, 44, 56, or any 6n + 2.

    Three stages of n blocks with width, 2 width and 4 width channels. Depth 8 serves
    images as small as 8 × 8. The compute type is `dtype`; parameters, statistics and
    features are float32. `axis_name` pools batch norm over a mapped axis.
    """

    depth: int = 32
    width: int = 16
    dtype: jnp.dtype = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(self, images, train=False):
        """Images [B, H, W, channels] to features [B, 4 width]: the mean over pixels."""
        blocks, rest = divmod(self.depth - 2, 6)
        if blocks < 1 or rest:
            raise ValueError(f"depth {self.depth} is not 8, 14, 20, ... = 6n + 2")
        x = Convolution(self.width, 1, self.dtype, name="conv")(images)
        x = nn.relu(BatchNorm(self.axis_name, name="norm")(x, train))
        for stage in range(3):
            for block in range(blocks):
                x = Block(
                    channels=self.width * 2**stage,
                    stride=2 if stage > 0 and block == 0 else 1,
                    dtype=self.dtype,
                    axis_name=self.axis_name,
                    name=f"stage{stage + 1}_block{block + 1}",
                )(x, train)
        return x.mean((1, 2), dtype=jnp.float32)
