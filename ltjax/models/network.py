"""A feature extractor and a head, each with a subtree of its own."""

from flax import linen as nn


class Network(nn.Module):
    """Logits = head(features(x)).

    Parameters are {"features": ..., "head": ...} and so are the statistics, so that
    either module is applied on its own to its subtree.
    """

    features: nn.Module
    head: nn.Module
    takes: tuple = ("image",)  # what it reads of a batch, in the order of its arguments

    def __call__(self, *inputs, train=False):
        """Inputs [B, ...] to logits [B, C], or [B, E, C] of E experts."""
        return self.head(self.features(*inputs, train=train))
