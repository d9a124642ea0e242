"""Objectives of several experts, of logits [B, E, C]; judged is the experts' mean.

`task` is a `representation.objective.Task`; epochs are counted from 1.
"""

import jax.numpy as jnp

from ltjax.losses import experts
from ltjax.representation import objective


def ride(task, diversity, reweight_factor, reweight_epoch, repeated=True):
    """RIDE's loss (Wang et al., ICLR 2021, arXiv:2010.01809).

    Distilled from `teacher`, logits [B, E', C], where the batch has them; `repeated`
    counts that once for each expert. The others are those of `losses.experts.ride`.
    """

    def loss(logits, batch, step):
        value = experts.ride(
            logits,
            batch["label"],
            task.counts,
            _epoch(task, step),
            diversity=diversity,
            reweight_factor=reweight_factor,
            reweight_epoch=reweight_epoch,
        )
        if "teacher" in batch:
            value = experts.distilled(
                value, logits, batch["teacher"], repeated=repeated
            )
        return value, logits.mean(1)

    return objective.simple(loss)


def shike(detached=False):
    """SHIKE's loss of its first stage (Jin et al., CVPR 2023, arXiv:2304.01279)."""

    def loss(logits, batch, step):
        value = experts.shike(logits, batch["label"], detached=detached)
        return value, logits.mean(1)

    return objective.simple(loss)


def mdcs(task, scales, consistency, ramp_epochs):
    """MDCS's loss (Zhao et al., ICCV 2023, arXiv:2308.09922).

    Of logits [2 B, E, C]: of the weak views, then of the strong ones; the weak ones are
    judged. The others are those of `losses.experts.mdcs`.
    """

    def loss(logits, batch, step):
        weak, strong = jnp.split(logits, 2)
        value = experts.mdcs(
            weak,
            strong,
            batch["label"],
            task.counts,
            _epoch(task, step),
            scales=scales,
            consistency=consistency,
            ramp_epochs=ramp_epochs,
        )
        return value, weak.mean(1)

    return objective.simple(loss, views=("weak", "strong"))


def _epoch(task, step):
    return step // task.steps + 1
