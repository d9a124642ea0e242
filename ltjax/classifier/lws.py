"""LWS: one learned scale per class on the frozen stage-one logits.

Kang et al., ICLR 2020 (arXiv 1910.09217); the scale multiplies the whole logit, bias
included, as in the authors' code. Trained on class-balanced batches.
"""

import jax.numpy as jnp

from ltjax.classifier import linear
from ltjax.losses import cross_entropy


def init(classes):
    """Scales of one: the stage-one classifier itself."""
    return {"scale": jnp.ones(classes)}


def logits(params, features, head):
    """Logits f_c (w_c z + b_c) of features [B, D] under the frozen linear `head`."""
    return linear.logits(head, features) * params["scale"][None]


def loss(params, features, labels, head):
    """Cross entropy per example [B]."""
    return cross_entropy(logits(params, features, head), labels)
