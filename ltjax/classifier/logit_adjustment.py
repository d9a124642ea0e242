"""LA: logit adjustment by the class prior, after training or in re-training.

Menon et al., ICLR 2021 (arXiv 2007.07314). Re-training puts the prior into the loss and
uses the raw logits at test; post-hoc takes it out of a plainly trained classifier.
"""

import jax.numpy as jnp

from ltjax.classifier.linear import init, logits
from ltjax.classifier.method import Head
from ltjax.losses import log_prior, logit_adjusted
from ltjax.losses.adjusted import ABSENT

__all__ = [
    "AFFINE",
    "DRAWS",
    "JOINT",
    "TITLE",
    "heads",
    "init",
    "logits",
    "loss",
    "posthoc",
    "power",
    "seen_only",
]

TITLE = "LA"
AFFINE = JOINT = True
DRAWS = False


def loss(params, features, labels, counts, tau=1.0):
    """Cross entropy of `logits + tau log prior` per example [B]."""
    return logit_adjusted(logits(params, features), labels, counts, tau)


def posthoc(head, features, counts, tau=1.0):
    """Logits minus `tau log prior` [B, C] of a plainly trained linear `head`.

    Subtracting the prior of a class without training images would raise it without
    bound; such a class is lowered instead. tau = 0 is the plain classifier.
    """
    sign = jnp.where(jnp.asarray(counts) > 0, -1, 1)
    shift = sign * tau * log_prior(counts)
    return logits(head, features) + shift[None]


def seen_only(counts):
    """Builds `logits(params, features)`, lower for a class of `counts` [C] 0.

    The adjusted loss leaves such a class where it began, and its raw logit would
    compete: it is lowered, as `posthoc` does.
    """
    unseen = jnp.where(jnp.asarray(counts) > 0, 0.0, ABSENT)
    return lambda params, features: logits(params, features) + unseen[None]


def power(plain, tau):
    """The logits are without `tau log prior`: equal shares at tau = 1."""
    return 1.0 - tau


def heads(given):
    """Begins anew, on batches of all images."""

    def of_mean(params, z, y):
        return loss(params, z[0], y, given.counts, given.settings.tau)

    return {"": Head(given.new, seen_only(given.counts), of_mean, averaged=True)}
