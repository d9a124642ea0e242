"""DisAlign: an input-dependent blend of aligned and original logits.

Zhang et al., CVPR 2021 (arXiv 2103.16370), in the paper's form: with s the frozen
stage-one logits and sigma(x) = sigmoid(v z + c),

    sigma (alpha_k s_k + beta_k) + (1 - sigma) s_k

The authors' classification code instead computes
(1 + sigma alpha_k) s_k + sigma beta_k, which already rescales the logits at the start.
Trained on instance-balanced batches with the generalised re-weighting of its loss.
"""

import jax
import jax.numpy as jnp

from ltjax.classifier import linear
from ltjax.classifier.method import Head
from ltjax.losses import cross_entropy, generalized_weights

TITLE = "DisAlign"
AFFINE = JOINT = DRAWS = False


def init(dim, classes):
    """alpha = 1, beta = 0: the stage-one classifier itself, whatever sigma is."""
    return {
        "alpha": jnp.ones(classes),
        "beta": jnp.zeros(classes),
        "v": jnp.zeros(dim),
        "c": jnp.zeros(()),
    }


def logits(params, features, head):
    """Aligned logits [B, C] of features [B, D] under the frozen linear `head`."""
    raw = linear.logits(head, features)
    sigma = jax.nn.sigmoid(features @ params["v"] + params["c"])[:, None]
    aligned = params["alpha"][None] * raw + params["beta"][None]
    return sigma * aligned + (1 - sigma) * raw


def loss(params, features, labels, head, counts, rho=1.2):
    """Re-weighted cross entropy per example [B].

    Scaled so that its mean over the batch is the weighted mean: the sum of w_y CE over
    the sum of w_y in the batch, as the authors' framework divides.
    """
    weights = generalized_weights(counts, rho)[labels]
    weights = weights / weights.mean()
    return weights * cross_entropy(logits(params, features, head), labels)


def power(plain, tau):
    """None: offsets come through a gate, and weights are normalised in each batch."""
    return None


def heads(given):
    """Begins at stage one, on batches of all images."""

    def aligned(params, z):
        return logits(params, z, given.head)

    def of_mean(params, z, y):
        return loss(params, z[0], y, given.head, given.counts, given.settings.rho)

    return {"": Head(init(*given.head["kernel"].shape), aligned, of_mean)}
