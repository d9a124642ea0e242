"""Label-distribution-aware margins: the rarer the class, the wider the margin."""

import jax
import jax.numpy as jnp

from ltjax.losses.adjusted import cross_entropy


def margins(counts, max_margin=0.5):
    """Margin per class, max_margin * (smallest / counts)^(1/4). Returns [C].

    `smallest` is the count of the smallest class that has examples; a class without
    any has the same margin as that class.

    >>> from ltjax.losses.margin import margins
    >>> margins([160, 10])
    Array([0.25, 0.5 ], dtype=float32)
    """
    counts = jnp.asarray(counts, jnp.float32)
    smallest = jnp.min(counts, where=counts > 0, initial=jnp.inf)
    return max_margin * (smallest / jnp.maximum(counts, smallest)) ** 0.25


def ldam(cosines, labels, counts, max_margin=0.5, scale=30.0):
    """Cross entropy of scale * (cosines - the label's margin at the label).

    Cao et al. 2019 (arXiv:1906.07413). cosines [..., C] are in -1..1. With
    max_margin = 0 this is `cross_entropy` of scale * cosines.

    >>> from ltjax.losses import ldam
    >>> ldam([[0.9, 0.1], [0.9, 0.1]], [0, 1], [160, 10], scale=5.0)
    Array([0.062, 6.502], dtype=float32)
    """
    cosines = jnp.asarray(cosines, jnp.float32)
    one_hot = jax.nn.one_hot(labels, cosines.shape[-1])
    margin = jnp.broadcast_to(margins(counts, max_margin), cosines.shape)
    return cross_entropy(scale * (cosines - margin * one_hot), labels)
