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
    points = _normalised(features, center)
    sums = jnp.matmul(members.T, points, precision="highest")
    return {
        "center": center,
        "means": sums / jnp.maximum(counts, 1)[:, None],
        "present": counts > 0,
    }


def logits(params, features):
    """Negative squared distances [B, C] of features [B, D] to the class means."""
    points = _normalised(features, params["center"])
    # Multiplied out, [B, C, D] is never formed; points and means have norms of at most
    # 1, so that nothing cancels.
    products = jnp.matmul(points, params["means"].T, precision="highest")
    squares = [(x**2).sum(-1) for x in (points, params["means"])]
    distances = squares[0][:, None] - 2 * products + squares[1][None]
    return jnp.where(params["present"][None], -distances, ABSENT)


def _normalised(features, center):
    centred = features - center[None]
    norms = jnp.linalg.norm(centred, axis=-1, keepdims=True)
    return centred / jnp.where(norms > 0, norms, 1.0)
