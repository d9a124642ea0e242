"""Metadata beside the features of any network: a late join, just ahead of the head."""

import math

import jax.numpy as jnp
from flax import linen as nn

from ltjax.models.metaformer import Known


class Joined(nn.Module):
    """Features of a `body` beside an embedding of `width` numbers of the metadata.

    Each of several experts gets the same embedding.
    """

    body: nn.Module
    width: int

    @nn.compact
    def __call__(self, images, meta, train=False):
        """Images and metadata [B, K] to features [B, D + width], or [B, E, D + width].

        E are experts.
        """
        features = self.body(images, train=train)
        # Of a length near 1, with which heads are re-trained as without it.
        known = Known(self.width, name="beside")(meta) / math.sqrt(self.width)
        if features.ndim == 2:
            known = known[:, 0]
        else:
            known = jnp.broadcast_to(known, (*features.shape[:2], self.width))
        return jnp.concatenate([features, known], -1)
