"""LA: logit adjustment by the class prior, after training or in re-training.

Menon et al., ICLR 2021 (arXiv 2007.07314). Re-training puts the prior into the loss and
uses the raw logits at test; post-hoc takes it out of a plainly trained classifier.
"""

from functools import partial

import jax.numpy as jnp

from ltjax.classifier.linear import init, logits
from ltjax.classifier.method import Head, of_tau
from ltjax.losses import log_prior, logit_adjusted
from ltjax.losses.adjusted import ABSENT

__all__ = [
    "AFFINE",
    "DRAWS",
    "JOINT",
    "TAUS",
    "TITLE",
    "head",
    "heads",
    "init",
    "logits",
    "loss",
    "lowering",
    "posthoc",
    "power",
    "seen_only",
]

TITLE = "LA"
# Of which "auto" takes one: around 1, where the prior is taken out as it is.
TAUS = (0.25, 0.5, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0)
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
    return logits(head, features) + lowering(counts, tau)[None]


def lowering(counts, tau=1.0):
    """What `posthoc` adds to the logits of each class, [C]."""
    sign = jnp.where(jnp.asarray(counts) > 0, -1, 1)
    return sign * tau * log_prior(counts)


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


def head(given, tau):
    """Begins anew, on batches of all images."""

    def of_mean(params, z, y):
        return loss(params, z[0], y, given.counts, tau)

    return Head(given.new, seen_only(given.counts), of_mean, averaged=True)


def heads(given):
    """The head of the tau that is set, or of one of `TAUS`."""
    make = partial(head, given)
    return {"": of_tau(given.settings.tau, TAUS, make)}
