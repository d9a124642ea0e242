"""Several cosine heads of the same features: [..., D] to logits [..., H, K]."""

import math

import jax
import jax.numpy as jnp
from flax import linen as nn

from ltjax.models.heads import unit


class Several(nn.Module):
    """Logits = scale * cosine of the angle between features and a cluster's column.

    H heads, each with columns of its own. The first one is the linear classifier that
    stands for all.
    """

    classes: int
    count: int = 1
    scale: float = 10.0

    @nn.compact
    def __call__(self, features):
        """Features [..., D] to logits [..., H, K] within [-scale, scale]."""
        shape = self.count, features.shape[-1], self.classes
        kernel = unit(self.param("kernel", _columns, shape), -2)
        return self.scale * jnp.einsum("...d,hdk->...hk", unit(features, -1), kernel)

    @nn.nowrap
    def linear(self, params):
        """Kernel and bias of the linear classifier of `inputs`: the first head's."""
        kernel = unit(params["kernel"][0], -2)
        length = self.scale / math.sqrt(len(kernel))
        return {"kernel": length * kernel, "bias": jnp.zeros(self.classes)}

    @nn.nowrap
    def inputs(self, features):
        """Features [..., D] scaled to length sqrt(D), where their mean square is 1."""
        return math.sqrt(features.shape[-1]) * unit(features, -1)


def _columns(key, shape):
    return unit(jax.random.uniform(key, shape, minval=-1.0, maxval=1.0), -2)
