"""Margins of rare classes, of logits [B, C] or, summed, [B, E, C] of experts."""

import jax.numpy as jnp

from ltjax import losses
from ltjax.losses.experts import BETA, SCALE
from ltjax.representation import objective


def ldam(task, max_margin, reweight_epoch, beta=BETA):
    """LDAM, and from an epoch on class weights (Cao et al., NeurIPS 2019).

    Logits are cosines times 30. After `reweight_epoch` epochs, never if it is None, the
    mean is weighted by the `class_balanced_weights` of labels; `beta` is theirs.
    """

    def loss(logits, batch, step):
        every, judged = batch["label"], logits
        if logits.ndim > 2:
            every = jnp.broadcast_to(every[:, None], logits.shape[:2])
            judged = logits.mean(1)
        each = losses.ldam(logits, every, task.counts, SCALE * max_margin, scale=1.0)
        own = late_weights(task, step, reweight_epoch, beta)[every]
        total = own.sum()
        value = (own * each).sum() / jnp.where(total > 0, total, 1)
        return value * (every.size / len(logits)), judged

    return objective.simple(loss)


def late_weights(task, step, reweight_epoch, beta=BETA):
    """Weights of classes [C]: all 1 in the first epochs, then class-balanced."""
    if reweight_epoch is None:
        return jnp.ones(len(task.counts))
    late = step >= reweight_epoch * task.steps
    return jnp.where(late, losses.class_balanced_weights(task.counts, beta), 1.0)
