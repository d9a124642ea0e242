"""A network that in training also gives what pairs of images are compared by."""

import jax.numpy as jnp
from flax import linen as nn

from ltjax.models import root
from ltjax.models.batch_norm import BatchNorm
from ltjax.models.convolution import PYTORCH
from ltjax.models.network import Network


class Projected(Network):
    """Logits, and in training queries: unit vectors of projected features."""

    projection: nn.Module = None

    def __call__(self, *inputs, train=False):
        """Inputs [B, ...] to logits [B, C].

        In training to {"logits": ..., "queries": [B, dim]}.
        """
        features = self.features(*inputs, train=train)
        logits = self.head(features)
        if not train and not self.is_initializing():
            return logits
        projected = self.projection(features, train)
        square = jnp.square(projected).sum(-1, keepdims=True)
        queries = projected * root.inverse(jnp.maximum(square, 1e-24))
        return {"logits": logits, "queries": queries} if train else logits


class Projection(nn.Module):
    """Two linear layers with a batch norm and a ReLU between (PaCo's releases)."""

    dim: int

    @nn.compact
    def __call__(self, features, train=False):
        """Features [B, D] to [B, dim]."""
        inner = features.shape[-1]
        x = nn.Dense(inner, kernel_init=PYTORCH, name="fc1")(features)
        x = BatchNorm(name="norm")(x[:, None, None], train)[:, 0, 0]
        return nn.Dense(self.dim, kernel_init=PYTORCH, name="fc2")(nn.relu(x))
