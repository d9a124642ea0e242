"""NCM: nearest class mean of centred, L2-normalised features; nothing is trained.

Kang et al., ICLR 2020 (arXiv 1910.09217), in the authors' default form: features minus
the training mean, divided by their norm; class means of those, not normalised again;
logits are negative squared Euclidean distances.
"""

import jax.numpy as jnp
import numpy as np

from ltjax.classifier.method import Head

TITLE = "NCM"
AFFINE = JOINT = DRAWS = False

# A class without training images has no mean; its logit is far below any other
# (squared distances are at most 4) and finite.
ABSENT = -1e4

_ROWS = 4096  # features that are in double precision at a time


def init(features, labels, classes):
    """Class means from training features [N, D] and labels [N].

    On the host, in double precision, some rows after the other: whatever the device,
    the sums are the same, and besides the features only the means take memory. For
    arrays of NumPy or JAX, not inside `jax.jit`.
    """
    labels, dim = np.asarray(labels), features.shape[1]
    counts = np.bincount(labels, minlength=classes)
    center = sum(part.sum(0) for _, part in _parts(features)) / len(labels)
    center = center.astype(np.float32)
    sums = np.zeros((classes, dim))
    for rows, part in _parts(features):
        points = part - center
        norms = np.linalg.norm(points, axis=1, keepdims=True)
        points /= np.where(norms > 0, norms, 1.0)
        order = np.argsort(labels[rows], kind="stable")
        present, starts = np.unique(labels[rows][order], return_index=True)
        sums[present] += np.add.reduceat(points[order], starts)
    sums /= np.maximum(counts, 1)[:, None]
    return {
        "center": jnp.asarray(center),
        "means": jnp.asarray(sums, jnp.float32),
        "present": jnp.asarray(counts > 0),
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


def power(plain, tau):
    """None: no loss was minimised."""
    return None


def heads(given):
    """The class means that are given."""
    return {"": Head(given.means, logits)}


def _parts(features):
    """Rows that follow each other, and their features in double precision."""
    for first in range(0, len(features), _ROWS):
        rows = slice(first, first + _ROWS)
        yield rows, np.asarray(features[rows]).astype(np.float64)


def _normalised(features, center):
    centred = features - center[None]
    norms = jnp.linalg.norm(centred, axis=-1, keepdims=True)
    return centred / jnp.where(norms > 0, norms, 1.0)
