"""LA: logit adjustment by the class prior, after training or in re-training.

Menon et al., ICLR 2021 (arXiv 2007.07314). Re-training puts the prior into the loss and
uses the raw logits at test; post-hoc takes it out of a plainly trained classifier.
"""

import jax.numpy as jnp

from ltjax.classifier.linear import init, logits
from ltjax.losses import log_prior, logit_adjusted

__all__ = ["init", "logits", "loss", "posthoc"]


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
