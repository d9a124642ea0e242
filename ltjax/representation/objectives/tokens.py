"""DeiT-LT, of logits [B, 2, C] of a CLS and a DIST token; judged is their mean."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp

from ltjax import losses
from ltjax.losses.experts import BETA
from ltjax.representation import objective
from ltjax.representation.objectives.margin import late_weights


class Mixed(NamedTuple):
    """What is mixed of several images."""

    mix: Callable  # (key, images) -> images, lam
    targets: Callable  # (labels, lam) -> shares of the classes [B, C]
    plain: Callable  # (labels) -> those of images that are not mixed
    late: bool  # whether they are mixed in the deferred phase


def deit_lt(task, mixed, alpha, reweight_epoch, beta=BETA):
    """DeiT-LT (Rangwani et al., CVPR 2024, arXiv:2404.02900), see `losses.deit_lt`.

    `mixed` is a `Mixed`. The batch has `teacher`, logits [B, C] of a teacher for the
    images as they are mixed. After `reweight_epoch` epochs its answers have the
    `class_balanced_weights`; None is DeiT's hard distillation (arXiv:2012.12877).
    """

    def mix(key, batch, step):
        images, lam = mixed.mix(key, batch["image"])
        targets = mixed.targets(batch["label"], lam)
        if reweight_epoch is not None and not mixed.late:
            late = step >= reweight_epoch * task.steps
            images = jnp.where(late, batch["image"].astype(images.dtype), images)
            targets = jnp.where(late, mixed.plain(batch["label"]), targets)
            lam = jnp.where(late, 1.0, lam)
        return {**batch, "image": images, "targets": targets, "lam": lam}

    def loss(logits, batch, memory, step):
        weights = None
        if reweight_epoch is not None:
            weights = late_weights(task, step, reweight_epoch, beta)
        value = losses.deit_lt(
            logits[:, 0],
            logits[:, 1],
            batch["targets"],
            batch["teacher"].argmax(-1),
            weights=weights,
            alpha=alpha,
        )
        return value, logits.mean(1), ()

    return objective.Objective(loss, mix=mix)
