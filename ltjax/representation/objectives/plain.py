"""Objectives of any network, of logits [B, C], or [B, E, C] of experts."""

import jax.numpy as jnp

from ltjax import losses
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


def soft_cross_entropy(mix, targets):
    """Cross entropy of shares of the classes, its mean; summed over experts.

    `mix(key, images) -> images, lam` mixes the images of a batch, and
    `targets(labels, lam)` their labels, [B, C]. None: they are not mixed, and `lam` is
    1. Judged by the labels of the images themselves.
    """

    def mixed(key, batch, step):
        images, lam = mix(key, batch["image"]) if mix else (batch["image"], 1.0)
        shares = targets(batch["label"], lam)
        return {**batch, "image": images, "targets": shares, "lam": lam}

    def loss(logits, batch, memory, step):
        shares = batch["targets"]
        if logits.ndim == 2:
            return losses.soft_cross_entropy(logits, shares).mean(), logits, ()
        every = jnp.broadcast_to(shares[:, None], logits.shape)
        value = losses.soft_cross_entropy(logits, every).sum(1).mean()
        return value, logits.mean(1), ()

    return objective.Objective(loss, mix=mixed)


def frequency_adjusted(task, variant):
    """Cross entropy of logits less the weights of IIF; summed over experts."""
    return _of_each(
        lambda logits, labels: losses.frequency_adjusted(
            logits, labels, task.counts, variant
        )
    )


def logit_adjusted(task, tau):
    """Cross entropy of logits plus tau times log prior; summed over experts."""
    return _of_each(
        lambda logits, labels: losses.logit_adjusted(logits, labels, task.counts, tau)
    )


def _of_each(found):
    """The objective of losses `found(logits, labels)` of each image, and expert."""

    def loss(logits, batch, memory, step):
        labels, judged = batch["label"], logits
        if logits.ndim > 2:
            labels = jnp.broadcast_to(labels[:, None], logits.shape[:2])
            judged = logits.mean(1)
        return found(logits, labels).sum() / len(logits), judged, ()

    return objective.Objective(loss)


def _summed(logits, labels):
    every = jnp.broadcast_to(labels[:, None], logits.shape[:2])
    return per_example(logits, every).sum(1).mean()
