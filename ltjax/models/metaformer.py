"""MetaFormer (arXiv:2203.02751): convolutions, then attention among patches and tokens.

Pieces of what is known beside an image are tokens of both attention stages, beside a
class token of each; the two class tokens together are the features.
"""

from functools import partial

import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from ltjax.models import metaformer_weights
from ltjax.models.batch_norm import BatchNorm
from ltjax.models.mobile import Conv, MBConv, dropped, uniform
from ltjax.models.patches import max_pool
from ltjax.models.relative import Attention

_EPSILON = 1e-5  # of layer norm, and of the stem's batch norm
_EXPANSION = 4
_LINEAR = nn.initializers.normal(0.02)

# Channels of S0 to S2, of S3 and S4; blocks of S1 and S2, of S3 and S4; heads.
SIZES = {
    0: ((64, 96, 192), (384, 768), (2, 3), (5, 2), 8),
    1: ((64, 96, 192), (384, 768), (2, 6), (14, 2), 8),
    2: ((128, 128, 256), (512, 1024), (2, 6), (14, 2), 8),
}


_norm = partial(nn.LayerNorm, epsilon=_EPSILON, use_fast_variance=False)


class Mlp(nn.Module):
    """Two linear layers around an exact GELU."""

    inner: int
    dim: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x):
        """[..., D] to [..., dim]."""
        dense = partial(nn.Dense, dtype=self.dtype, kernel_init=_LINEAR)
        x = nn.gelu(dense(self.inner, name="fc1")(x), approximate=False)
        return dense(self.dim, name="fc2")(x)


class Block(nn.Module):
    """Attention and a network of each token, both after a layer norm, both added."""

    heads: int
    map: tuple
    drop: float = 0.0
    corrected: bool = False
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x, train=False):
        """Tokens [B, T, D] to the same shape."""
        dim = x.shape[-1]
        attend = Attention(
            self.heads, self.map, self.corrected, self.dtype, name="attention"
        )
        y = attend(_norm(name="norm1")(x))
        x = x + dropped(self, y, self.drop, train).astype(x.dtype)
        mlp = Mlp(_EXPANSION * dim, dim, self.dtype, name="mlp")
        y = mlp(_norm(name="norm2")(x))
        return x + dropped(self, y, self.drop, train).astype(x.dtype)


class Embedding(nn.Module):
    """Overlapping patches: a 3 x 3 convolution of stride 2, then a layer norm."""

    dim: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x):
        """Activations [B, H, W, C] to [B, ceil(H / 2), ceil(W / 2), dim], float32."""
        proj = Conv(self.dim, 3, 2, bias=True, dtype=self.dtype, name="proj")
        return _norm(name="norm")(proj(x).astype(jnp.float32))


class Known(nn.Module):
    """A token of a piece of metadata: a linear layer, and a residual block."""

    dim: int

    @nn.compact
    def __call__(self, x):
        """[B, K] to [B, 1, dim]."""
        dense = partial(nn.Dense, self.dim, kernel_init=_LINEAR)
        x = _norm(name="norm")(nn.relu(dense(name="embed")(x)))
        y = _norm(name="norm1")(nn.relu(dense(name="w1")(x)))
        y = _norm(name="norm2")(nn.relu(dense(name="w2")(y)))
        return (x + y)[:, None]


class MetaFormer(nn.Module):
    """Feature extractor: stages S0 to S2 of convolutions, S3 and S4 of attention.

    `conv_dims` are the channels of S0, S1 and S2, `attention_dims` those of S3 and S4;
    `conv_blocks` of S1 and S2 and `attention_blocks` of S3 and S4 follow on each other.
    `meta` are the widths of the pieces of metadata, in their order; () is without any.
    `stem` is how many pixels of a side S1 sees as one, 4 as released, 2 or 1. Tables of
    relative positions fit images of `image` pixels a side; for `corrected` see
    `relative`. `drop_path` rises from 0 over the blocks. Without `both` only the
    class token of S4 is a feature. `axis_name` pools batch norm over a mapped axis.
    """

    conv_dims: tuple[int, int, int]
    attention_dims: tuple[int, int]
    conv_blocks: tuple[int, int]
    attention_blocks: tuple[int, int]
    heads: int = 8
    meta: tuple[int, ...] = ()
    stem: int = 4
    corrected: bool = False
    drop_path: float = 0.1
    both: bool = True
    image: int = 224
    first: int = 0
    last: int | None = None
    dtype: jnp.dtype = jnp.float32
    axis_name: str | None = None

    parts = 2  # S0 to S2, which see images alone, and the others

    @property
    def dim(self):
        """Dimensions of the features."""
        return self.attention_dims[1]

    @nn.compact
    def __call__(self, images, meta=None, train=False):
        """Images [B, H, W, channels], and metadata [B, K], to features [B, dim].

        With `first` 1 they are the maps that the network with `last` 1 returns.
        """
        x, drops = images, self.drops()
        if self.first == 0:
            x = self._stage0(x, train)
            for stage in (1, 2):
                x = self._convolutions(stage, x, drops, train)
        if self.last == 1:
            return x
        pieces, drops = self._pieces(meta), iter(drops[sum(self.conv_blocks) :])
        x, first = self._attention(3, x, pieces, drops, train)
        _, last = self._attention(4, x, pieces, drops, train)
        last = _norm(name="joint_norm3")(last)
        if not self.both:
            return _norm(name="joint_norm4")(last)
        mlp = Mlp(self.attention_dims[0], self.dim, self.dtype, name="joint_mlp")
        first = mlp(_norm(name="joint_norm1")(first)).astype(jnp.float32)
        first = _norm(name="joint_norm2")(first)
        found = Aggregate(name="joint_aggregate")(first, last)
        return _norm(name="joint_norm4")(found)

    @nn.nowrap
    def part(self, name):
        """The part, 0 or 1, to which a parameter's first name belongs."""
        return int(not name.startswith(("stage0", "stage1", "stage2")))

    @nn.nowrap
    def fitted(self, tensors, like):
        """See `metaformer_weights.fitted`."""
        return metaformer_weights.fitted(tensors, like, self.corrected)

    @nn.nowrap
    def drops(self):
        """The chance of each block of S1 to S4 to be left out of an example."""
        blocks = sum(self.conv_blocks) + sum(self.attention_blocks)
        return np.linspace(0, self.drop_path, blocks).tolist()

    def _pieces(self, meta):
        """The metadata of each token."""
        width = sum(self.meta)
        if not self.meta:
            return []
        if meta is None or meta.shape[-1] != width:
            found = None if meta is None else meta.shape[-1]
            raise ValueError(f"meta has {found} columns, wanted {width}: {self.meta}")
        return jnp.split(meta, np.cumsum(self.meta)[:-1].tolist(), -1)

    def _stage0(self, x, train):
        width, (first, second) = self.conv_dims[0], _strides(self.stem)
        conv = partial(Conv, dtype=self.dtype)
        norm = partial(BatchNorm, self.axis_name, epsilon=_EPSILON)
        x = conv(3 * (width // 4), 3, first, name="stage0_conv1")(x)
        x = nn.relu(norm(name="stage0_norm1")(x, train))
        x = conv(width, name="stage0_conv2")(x)
        x = nn.relu(norm(name="stage0_norm2")(x, train))
        x = conv(width, name="stage0_conv3")(x)
        x = nn.relu(norm(name="stage0_norm3")(x, train))
        return max_pool(x) if second == 2 else x

    def _convolutions(self, stage, x, drops, train):
        before = 0 if stage == 1 else self.conv_blocks[0]
        for block in range(self.conv_blocks[stage - 1]):
            x = MBConv(
                self.conv_dims[stage],
                stride=2 if stage == 2 and block == 0 else 1,
                drop=drops[before + block],
                dtype=self.dtype,
                axis_name=self.axis_name,
                name=f"stage{stage}_{block}",
            )(x, train)
        return x

    def _attention(self, stage, x, pieces, drops, train):
        """The map [B, H, W, D] and the class token [B, D] after a stage."""
        dim = self.attention_dims[stage - 3]
        x = Embedding(dim, self.dtype, name=f"stage{stage}_embed")(x)
        shape = batch, height, width, _ = x.shape
        token = self.param(f"stage{stage}_token", _LINEAR, (1, 1, dim))
        known = [
            Known(dim, name=f"stage{stage}_meta{at}")(piece)
            for at, piece in enumerate(pieces, 1)
        ]
        extra = [jnp.broadcast_to(token, (batch, 1, dim)), *known]
        x = jnp.concatenate([*extra, x.reshape(batch, height * width, dim)], 1)
        for block in range(self.attention_blocks[stage - 3]):
            x = Block(
                self.heads,
                (height, width),
                next(drops),
                self.corrected,
                self.dtype,
                name=f"stage{stage}_{block}",
            )(x, train)
        return x[:, len(extra) :].reshape(shape), x[:, 0]


class Aggregate(nn.Module):
    """A weighted sum of two tokens, of three numbers."""

    @nn.compact
    def __call__(self, first, last):
        """Two of [B, D] to one."""
        init = uniform(2**-0.5)
        kernel = self.param("kernel", init, (1, 2, 1))
        bias = self.param("bias", init, (1,))
        return kernel[0, 0, 0] * first + kernel[0, 1, 0] * last + bias[0]


def _strides(stem):
    """The strides of the first convolution, and of the pooling."""
    return {4: (2, 2), 2: (2, 1), 1: (1, 1)}[stem]
