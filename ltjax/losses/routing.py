"""RIDE's second stage: one more expert is asked only where it is likely to help.

Wang et al. 2021 (arXiv:2010.01809). Router i, of E - 1, has seen experts 0..i and tells
in one score whether to go on. Logits are [B, E, C], scores [B, E - 1].
"""

import chex
import jax
import jax.numpy as jnp


def running_means(logits):
    """Mean logits of experts 0..i for every i, [B, E, C]."""
    logits = jnp.asarray(logits, jnp.float32)
    asked = jnp.arange(1, logits.shape[1] + 1, dtype=jnp.float32)
    return logits.cumsum(1) / asked.reshape(1, -1, 1)


def targets(logits, labels):
    """Whether experts 0..i together are wrong, and right with some later ones.

    Returns bool [B, E - 1]. ValueError for a single expert.
    """
    labels = jnp.asarray(labels)
    chex.assert_shape(logits, (*labels.shape, None, None))
    if logits.shape[1] < 2:
        raise ValueError("a router needs at least 2 experts, found 1")
    right = running_means(logits).argmax(-1) == labels[:, None]
    later = jax.lax.cummax(right.astype(jnp.int32), axis=1, reverse=True)
    return ~right[:, :-1] & (later[:, 1:] > 0)


def loss(scores, targets, positive_weight=100.0):
    """Mean binary cross entropy; targets that ask for more count `positive_weight`."""
    scores = jnp.asarray(scores, jnp.float32)
    chex.assert_equal_shape((scores, targets))
    more = positive_weight * jax.nn.softplus(-scores)
    return jnp.where(targets, more, jax.nn.softplus(scores)).mean()


def asked(scores):
    """Experts asked per image, [B], 1..E: up to the first score of at most 0."""
    on = (jnp.asarray(scores) > 0).astype(jnp.int32)
    return 1 + jnp.cumprod(on, axis=1).sum(1)


def routed(logits, scores):
    """Mean logits of the experts asked, [B, C]."""
    last = asked(scores)[:, None, None] - 1
    return jnp.take_along_axis(running_means(logits), last, axis=1)[:, 0]


def mean_cost(asked, costs):
    """Mean over images of costs [E], where costs[k - 1] is that of k experts."""
    return jnp.asarray(costs, jnp.float32)[asked - 1].mean()
