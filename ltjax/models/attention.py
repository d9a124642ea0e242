"""Self-attention over tokens (Vaswani et al., NeurIPS 2017)."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn

NARROW = nn.initializers.normal(0.02)  # of every matrix and token of a transformer


class Attention(nn.Module):
    """softmax(q k^T / sqrt(D / heads)) v for each of the heads, and a linear layer.

    Queries, keys and values of all heads are one matrix "qkv", in this order.
    """

    heads: int
    dtype: jnp.dtype = jnp.float32
    beside: Callable | None = None  # (features, name=...) -> what is added to "qkv"

    @nn.compact
    def __call__(self, x):
        """Tokens [B, T, D] to the same shape; D is a multiple of `heads`."""
        dim = x.shape[-1]
        qkv = linear(3 * dim, self.dtype, "qkv")(x)
        if self.beside:
            qkv = qkv + self.beside(3 * dim, dtype=self.dtype, name="adapter")(x)
        qkv = qkv.reshape(*x.shape[:-1], 3, self.heads, dim // self.heads)
        seen = attend(qkv[..., 0, :, :], qkv[..., 1, :, :], qkv[..., 2, :, :])
        return linear(dim, self.dtype, "proj")(seen.reshape(x.shape))


def attend(query, key, value):
    """softmax(query key^T / sqrt(D)) value, of [B, T, heads, D] each.

    In bfloat16 on an NVIDIA GPU cuDNN does it in one kernel, if it can; else it is
    plain XLA.
    """
    kind = "cudnn" if _fuses(query) else "xla"
    return jax.nn.dot_product_attention(query, key, value, implementation=kind)


def _fuses(query):
    """Whether cuDNN's kernel takes such queries here."""
    dim = query.shape[-1]
    fits = query.dtype == jnp.bfloat16 and dim % 8 == 0 and dim <= 128
    return fits and "NVIDIA" in jax.devices()[0].device_kind


def linear(features, dtype, name):
    """A linear layer of a transformer, whose weights begin small and bias at zero."""
    return nn.Dense(features, dtype=dtype, kernel_init=NARROW, name=name)
