"""tau-normalisation: w_c / |w_c|^tau without bias; nothing is trained.

Kang et al., ICLR 2020 (arXiv 1910.09217). tau = 0 is the stage-one classifier without
its bias, tau = 1 has unit columns.
"""

import jax.numpy as jnp

from ltjax.classifier.method import Head

TITLE = "tau-norm"
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
    """The columns of stage one."""
    return {"": Head(init(given.head, given.settings.tau_norm), logits)}
