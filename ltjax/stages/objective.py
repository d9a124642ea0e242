"""What stage one minimises: the `Objective` that a config names.

The logits that are judged are the mean over experts.
"""

import jax.numpy as jnp

from ltjax.losses import cross_entropy, experts
from ltjax.representation import objective


def of_config(config, task):
    """The objective of a config for an `objective.Task`.

    That of RIDE distils from `teacher`, logits [B, E', C], where the batch has them.
    That of MDCS takes logits [2 B, E, C]: of the weak views, then of the strong ones.
    """
    optim, counts, steps = config.optim, task.counts, task.steps
    if config.model.experts.count is None:
        return objective.per_example(cross_entropy)
    match optim.loss:
        case "cross_entropy":
            return _whole(lambda logits, batch, epoch: _summed(logits, batch["label"]))
        case "ride":
            chosen = optim.ride

            def ride(logits, batch, epoch):
                loss = experts.ride(
                    logits,
                    batch["label"],
                    counts,
                    epoch,
                    diversity=chosen.diversity,
                    reweight_factor=chosen.reweight_factor,
                    reweight_epoch=chosen.reweight_epoch,
                )
                if "teacher" not in batch:
                    return loss
                return experts.distilled(
                    loss, logits, batch["teacher"], repeated=chosen.repeated
                )

            return _whole(ride, steps)
        case "shike":
            detached = optim.shike.detached
            return _whole(
                lambda logits, batch, epoch: experts.shike(
                    logits, batch["label"], detached=detached
                )
            )
        case "mdcs":
            return _of_two_views(optim.mdcs, counts, steps)
    raise ValueError(f"loss is {optim.loss!r}, which is none of optim.loss")


def _whole(loss, steps=1):
    """The objective of `loss(logits, batch, epoch)`, epochs counted from 1."""

    def of_batch(logits, batch, step):
        return loss(logits, batch, step // steps + 1), logits.mean(1)

    return objective.simple(of_batch)


def _of_two_views(chosen, counts, steps):
    def of_batch(logits, batch, step):
        weak, strong = jnp.split(logits, 2)
        loss = experts.mdcs(
            weak,
            strong,
            batch["label"],
            counts,
            step // steps + 1,
            scales=chosen.scales,
            consistency=chosen.consistency,
            ramp_epochs=chosen.ramp_epochs,
        )
        return loss, weak.mean(1)

    return objective.simple(of_batch, ("weak", "strong"))


def _summed(logits, labels):
    """Cross entropy, summed over experts, its mean over images."""
    every = jnp.broadcast_to(labels[:, None], logits.shape[:2])
    return cross_entropy(logits, every).sum(1).mean()
