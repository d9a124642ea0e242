"""Objectives of any network, of logits [B, C], or [B, E, C] of experts."""

import jax.numpy as jnp

from ltjax.losses import cross_entropy as per_example
from ltjax.representation import step
from ltjax.representation.objective import Objective


def cross_entropy():
    """Cross entropy of the labels, its mean over images; summed over experts."""
    alone = step.per_example(per_example)

    def loss(logits, batch, step):
        if logits.ndim == 2:
            return alone(logits, batch, step)
        return _summed(logits, batch["label"]), logits.mean(1)

    return Objective(loss)


def _summed(logits, labels):
    every = jnp.broadcast_to(labels[:, None], logits.shape[:2])
    return per_example(logits, every).sum(1).mean()
