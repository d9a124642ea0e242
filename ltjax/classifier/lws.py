"""LWS: one learned scale per class on the frozen stage-one logits.

Kang et al., ICLR 2020 (arXiv 1910.09217); the scale multiplies the whole logit, bias
included, as in the authors' code. Trained on class-balanced batches.
"""

import jax.numpy as jnp

from ltjax.classifier import linear
from ltjax.classifier.method import Head
from ltjax.losses import cross_entropy

TITLE = "LWS"
AFFINE = True
JOINT = DRAWS = False


def init(classes):
    """Scales of one: the stage-one classifier itself."""
    return {"scale": jnp.ones(classes)}


def logits(params, features, head):
    """Logits f_c (w_c z + b_c) of features [B, D] under the frozen linear `head`."""
    return linear.logits(head, features) * params["scale"][None]


def loss(params, features, labels, head):
    """Cross entropy per example [B]."""
    return cross_entropy(logits(params, features, head), labels)


def power(plain, tau):
    """None: there is a scale for each class, and no intercept."""
    return None


def heads(given):
    """Begins at stage one."""

    def scaled(params, z):
        return logits(params, z, given.head)

    def of_mean(params, z, y):
        return loss(params, z[0], y, given.head)

    params = init(given.head["kernel"].shape[1])
    return {"": Head(params, scaled, of_mean, sampling="class")}
