"""NCM: nearest class mean of centred, L2-normalised features; nothing is trained.

Kang et al., ICLR 2020 (arXiv 1910.09217), in the authors' default form: features minus
the training mean, divided by their norm; class means of those, not normalised again;
logits are negative squared Euclidean distances.
"""

import jax
import jax.numpy as jnp

# A class without training images has no mean; its logit is far below any other
# (squared distances are at most 4) and finite.
ABSENT = -1e4


def init(features, labels, classes):
    """Class means from training features [N, D] and labels [N]."""
    center = features.mean(0)
    members = jax.nn.one_hot(labels, classes)  # [N, C]
    counts = members.sum(0)
    sums = members.T @ _normalised(features, center)
    return {
        "center": center,
        "means": sums / jnp.maximum(counts, 1)[:, None],
        "present": counts > 0,
    }


def logits(params, features):
    """Negative squared distances [B, C] of features [B, D] to the class means."""
    points = _normalised(features, params["center"])
    distances = ((points[:, None] - params["means"][None]) ** 2).sum(-1)
    return jnp.where(params["present"][None], -distances, ABSENT)


def _normalised(features, center):
    centred = features - center[None]
    norms = jnp.linalg.norm(centred, axis=-1, keepdims=True)
    return centred / jnp.where(norms > 0, norms, 1.0)
