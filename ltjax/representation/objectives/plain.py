"""Objectives of any network, of logits [B, C], or [B, E, C] of experts."""

import jax.numpy as jnp

from ltjax.losses import cross_entropy as per_example
from ltjax.representation import objective


def cross_entropy():
    """Cross entropy of the labels, its mean over images; summed over experts."""
    alone = objective.per_example(per_example)

    def loss(logits, batch, memory, step):
        if logits.ndim == 2:
            return alone.loss(logits, batch, memory, step)
        return _summed(logits, batch["label"]), logits.mean(1), ()

    return objective.Objective(loss)


def _summed(logits, labels):
    every = jnp.broadcast_to(labels[:, None], logits.shape[:2])
    return per_example(logits, every).sum(1).mean()
