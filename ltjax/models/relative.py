"""Attention among the patches of an image and some extra tokens, as MetaFormer has it.

To the logits of two patches comes a number of a table, by how far the one lies from the
other; all pairs with an extra token share one. As released, that one is also the number
of the first and the last patch: the table is one row too long, whose last is never
read. `corrected` moves the numbers of patches up by one.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from ltjax.models import resize


def rows(height, width):
    """How many rows the table of so many patches has."""
    return (2 * height - 1) * (2 * width - 1) + 1


def index(height, width, extra, corrected=False):
    """Which row of the table each pair of tokens reads, int32 [T, T].

    The query is the first axis; `extra` tokens come before the patches.
    """
    y, x = np.divmod(np.arange(height * width), width)
    down, right = (at[:, None] - at[None] for at in (y, x))
    pairs = (down + height - 1) * (2 * width - 1) + right + width - 1
    return np.pad(pairs + corrected, ((extra, 0), (extra, 0))).astype(np.int32)


def resized(table, side):
    """The table [rows, heads] of a square map, for one of `side` x `side` patches.

    Bicubic over the distances, as PyTorch does it without antialiasing; what extra
    tokens read stays as it is. (The released code takes the rows for patches to begin
    at 1, where they begin at 0: its maps are moved by one column.)
    """
    table = np.asarray(table, np.float32)
    old, new = round(np.sqrt(len(table) - 1)), 2 * side - 1
    if new == old:
        return table
    grid = resize.bicubic(table[:-1].reshape(old, old, -1), (new, new))
    grid = np.asarray(grid).reshape(new * new, -1)
    return np.concatenate([table[:1], grid[1:], table[-1:]])


def corrected(table):
    """A table as released, for a network that is corrected: it computes the same."""
    return np.concatenate([table[:1], table[:-1]])


class Attention(nn.Module):
    """Multi-head attention with relative positions; q, k and v have no bias."""

    heads: int
    map: tuple  # (height, width) in patches
    corrected: bool = False
    dtype: jnp.dtype = jnp.float32
    kernel_init: nn.initializers.Initializer = nn.initializers.normal(0.02)

    @nn.compact
    def __call__(self, x):
        """Tokens [B, T, D], of which the last are patches, to the same shape."""
        batch, count, dim = x.shape
        extra = count - self.map[0] * self.map[1]
        shape = self.heads, rows(*self.map)
        table = self.param("table", nn.initializers.normal(0.02), shape)
        dense = partial(nn.Dense, dtype=self.dtype, kernel_init=self.kernel_init)
        found = dense(3 * dim, use_bias=False, name="qkv")(x)
        found = found.reshape(batch, count, 3, self.heads, dim // self.heads)
        # One by one: ONNX has no word for an unpacking.
        query, key, value = (found[:, :, part] for part in range(3))
        logits = jnp.einsum(
            "bqhd,bkhd->bhqk", query * (dim // self.heads) ** -0.5, key
        ).astype(jnp.float32)
        pairs = index(*self.map, extra, self.corrected)
        logits = logits + table[None, :, pairs]
        share = jax.nn.softmax(logits).astype(self.dtype)
        mixed = jnp.einsum("bhqk,bkhd->bqhd", share, value).reshape(x.shape)
        return dense(dim, name="proj")(mixed)
