"""Vision transformers: a feature extractor whose class tokens look at all patches.

Dosovitskiy et al. (ICLR 2021, arXiv:2010.11929). With two class tokens it is the
student of DeiT (arXiv:2012.12877) and DeiT-LT (arXiv:2404.02900), CLS and DIST, which
are two experts of one body. Registers are those of Darcet et al. (arXiv:2309.16588).
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from ltjax.mistake import Mistake
from ltjax.models import activations, attention, resize
from ltjax.models.attention import NARROW
from ltjax.models.convolution import PYTORCH

_LAYER_SCALE = 1e-5  # what a block's branches are first multiplied by
_TOKENS = "cls_token", "dist_token"


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)), tokens [B, T, D].

    `adapters` build what is added beside attention's "qkv", and beside the mlp.
    With `layer_scale` each of both is multiplied by a vector [D]. In training it is
    left out of an image with a probability of `drop_path`, and counts for more in
    others.
    """

    heads: int
    activation: Callable
    epsilon: float
    layer_scale: bool = False
    drop_path: float = 0.0
    dtype: jnp.dtype = jnp.float32
    adapters: tuple = (None, None)

    @nn.compact
    def __call__(self, x, train=False):
        """Tokens [B, T, D] to the same shape and type."""
        of_attention, of_layers = self.adapters
        seen = norm(self.epsilon, self.dtype, "norm1")(x)
        seen = attention.Attention(self.heads, self.dtype, of_attention, name="attn")(
            seen
        )
        x = x + self._branch(seen, "ls1", train)
        seen = norm(self.epsilon, self.dtype, "norm2")(x)
        found = Mlp(self.activation, self.dtype, name="mlp")(seen)
        x = x + self._branch(found, "ls2", train)
        if of_layers:
            x = x + of_layers(dtype=self.dtype, name="adapter")(seen)
        return x

    def _branch(self, seen, name, train):
        if self.layer_scale:
            seen = LayerScale(name=name)(seen)
        # Without a stream nothing is left out, as with the dropout of a gate.
        still = not (train and self.has_rng("dropout"))
        whole = nn.Dropout(self.drop_path, broadcast_dims=(1, 2), deterministic=still)
        return whole(seen)


class Mlp(nn.Module):
    """Two linear layers with an activation between, four times as wide there."""

    activation: Callable
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x):
        """Tokens [B, T, D] to the same shape."""
        dim = x.shape[-1]
        x = attention.linear(4 * dim, self.dtype, "fc1")(x)
        x = self.activation(name="act")(x)
        return attention.linear(dim, self.dtype, "fc2")(x)


class LayerScale(nn.Module):
    """A learnt factor for each of the last axis (Touvron et al., arXiv:2103.17239)."""

    @nn.compact
    def __call__(self, x):
        """x [..., D] to the same shape and type."""
        init = nn.initializers.constant(_LAYER_SCALE)
        gamma = self.param("gamma", init, x.shape[-1:])
        return x * jnp.broadcast_to(gamma.astype(x.dtype), x.shape)


class Patches(nn.Module):
    """Squares of `size` pixels as vectors: a convolution, each pixel in one window."""

    size: int
    dim: int
    bias: bool = True
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, images):
        """Images [B, H, W, ch] to [B, H / size, W / size, dim]."""
        count, height, width, channels = images.shape
        size = self.size
        if height % size or width % size:
            raise Mistake(
                f"model.patch is {size}; it must divide the {height} x {width} pixels "
                "of the images"
            )
        kernel = self.param("kernel", PYTORCH, (size, size, channels, self.dim))
        x = images.reshape(count, height // size, size, width // size, size, channels)
        x = x.transpose(0, 1, 3, 2, 4, 5).astype(self.dtype)
        x = jnp.tensordot(x, kernel.astype(self.dtype), axes=3)
        if self.bias:
            init = partial(_uniform, size * size * channels)
            bias = self.param("bias", init, (self.dim,))
            x = x + jnp.broadcast_to(bias.astype(self.dtype), x.shape)
        return x


class VisionTransformer(nn.Module):
    """Images to the features of one class token, or of two.

    Tokens are [class tokens, registers, patches]. Positions are learnt for images of
    `image` pixels, and resized where others come. With `pre_norm` a layer norm precedes
    the blocks, and patches have no bias (CLIP). Blocks are left out in training with
    probabilities that rise to `drop_path` in the last one. `recomputed` keeps the
    inputs of blocks only, and works the rest out again for the gradient. Parts `first`
    to `last` (less one) run: part 0 makes the tokens, the next are blocks, the last one
    is the norm of the class tokens.
    """

    dim: int
    depth: int
    heads: int
    patch: int = 16
    tokens: int = 1
    image: int = 224
    registers: int = 0
    layer_scale: bool = False
    pre_norm: bool = False
    epsilon: float = 1e-6
    activation: Callable = activations.gelu
    drop_path: float = 0.0
    recomputed: bool = False
    dtype: jnp.dtype = jnp.float32
    adapters: tuple = (None, None)  # of the last blocks, see `Block`
    adapted: int | None = None  # how many; None: all
    first: int = 0
    last: int | None = None

    @property
    def parts(self):
        """The tokens, blocks, and the last norm."""
        return self.depth + 2

    @nn.nowrap
    def part(self, name):
        """The part to which a parameter's first name belongs: `blocks_3` is of 4."""
        if name.startswith("blocks_"):
            return 1 + int(name.removeprefix("blocks_"))
        return self.parts - 1 if name == "norm" else 0

    @nn.compact
    def __call__(self, x, train=False):
        """Images [B, H, W, ch] to features [B, D], or [B, 2, D] of two tokens.

        With `first` above 0, x is what the part before it returned; with a `last`, what
        the part before that returns is returned.
        """
        for part in range(self.parts)[self.first : self.last]:
            if part == 0:
                x = self._tokens(x)
            elif part < self.parts - 1:
                x = self._block(part - 1, x, train)
            else:
                x = norm(self.epsilon, self.dtype, "norm")(x[:, : self.tokens])
                x = x.astype(jnp.float32)
                x = x if self.tokens > 1 else x[:, 0]
        return x

    def _tokens(self, images):
        """All tokens [B, T, D] of images."""
        embed = Patches(
            self.patch, self.dim, not self.pre_norm, self.dtype, name="patch_embed"
        )
        x = self._embedded(embed(images))
        if self.pre_norm:
            x = norm(self.epsilon, self.dtype, "norm_pre")(x)
        return x

    def _block(self, number, x, train):
        block = nn.remat(Block, static_argnums=(2,)) if self.recomputed else Block
        rates = np.linspace(0, self.drop_path, self.depth)
        adapted = self.adapted is None or number >= self.depth - self.adapted
        return block(
            self.heads,
            self.activation,
            self.epsilon,
            self.layer_scale,
            float(rates[number]),
            self.dtype,
            self.adapters if adapted else (None, None),
            name=f"blocks_{number}",
        )(x, train)

    def _embedded(self, patches):
        """All tokens [B, T, D] with their positions, of patches [B, H, W, D]."""
        count, *grid, dim = patches.shape
        side = self.image // self.patch
        shape = 1, self.tokens + side * side, dim
        # CLS begins next to zero, as timm has it.
        inits = nn.initializers.normal(1e-6), NARROW
        own = [
            self.param(name, init, (1, 1, dim))
            for name, init in zip(_TOKENS[: self.tokens], inits)
        ]
        places = positions(self.param("pos_embed", NARROW, shape), self.tokens, grid)
        parts = [
            *(_repeated(token, count, self.dtype) for token in own),
            patches.reshape(count, -1, dim),
        ]
        x = jnp.concatenate(parts, 1) + _repeated(places, count, self.dtype)
        if not self.registers:
            return x
        register = self.param("reg_token", NARROW, (1, self.registers, dim))
        first, rest = x[:, : self.tokens], x[:, self.tokens :]
        return jnp.concatenate([first, _repeated(register, count, self.dtype), rest], 1)

    def shared(self, images, train=False):
        """What the tokens, as experts, have in common: all there is, [B, 2, D]."""
        return self(images, train)

    def expert(self, index, maps, train=False):
        """The features [B, D] of one token, of what `shared` gives."""
        return maps[:, index]


def positions(table, tokens, grid):
    """Positions [1, tokens + h w, D] of a square of patches, for a `grid` of h x w.

    Those of the class tokens stay, those of patches are resized as images.
    """
    old = round((table.shape[1] - tokens) ** 0.5)
    if tuple(grid) == (old, old):
        return table
    own, patches = table[:, :tokens], table[:, tokens:]
    dim = table.shape[-1]
    resized = resize.bicubic(patches.reshape(1, old, old, dim), grid)
    return jnp.concatenate([own, resized.reshape(1, -1, dim)], 1)


def norm(epsilon, dtype, name):
    """Layer norm, whose sums are float32."""
    return nn.LayerNorm(
        epsilon=epsilon, dtype=dtype, use_fast_variance=False, name=name
    )


def _repeated(token, count, dtype):
    return jnp.broadcast_to(token.astype(dtype), (count, *token.shape[1:]))


def _uniform(fan_in, key, shape):
    """Within 1 / sqrt(fan-in), PyTorch's default of a bias."""
    bound = fan_in**-0.5
    return jax.random.uniform(key, shape, minval=-bound, maxval=bound)
