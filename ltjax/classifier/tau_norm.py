"""tau-normalisation: w_c / |w_c|^tau without bias; nothing is trained.

Kang et al., ICLR 2020 (arXiv 1910.09217). tau = 0 is the stage-one classifier without
its bias, tau = 1 has unit columns.
"""

import jax.numpy as jnp

from ltjax.classifier.method import Head, of_tau

TITLE = "tau-norm"
# Of which "auto" takes one: from the classifier of stage one on, beyond unit columns.
EXPONENTS = tuple(round(0.2 * step, 1) for step in range(12))
AFFINE = True
JOINT = DRAWS = False


def init(head, tau=1.0):
    """Normalised columns [D, C] from a linear `head`."""
    norms = jnp.linalg.norm(head["kernel"], axis=0, keepdims=True)
    # A column of zeros stays one: it has no direction to keep.
    return {"kernel": head["kernel"] / jnp.where(norms > 0, norms, 1.0) ** tau}


def logits(params, features):
    """Logits [..., C] of features [..., D]."""
    return jnp.matmul(features, params["kernel"], precision="highest")


def power(plain, tau):
    """None: no loss was minimised."""
    return None


def heads(given):
    """The columns of stage one, by the exponent that is set, or one of `EXPONENTS`."""

    def make(tau):
        return Head(init(given.head, tau), logits)

    return {"": of_tau(given.settings.tau_norm, EXPONENTS, make)}
