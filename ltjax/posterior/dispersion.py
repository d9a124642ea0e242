"""How far the members of a posterior disagree on one input.

The spread of stochastic representations grows from head to tail classes (Nam et al.,
ICLR 2023, arXiv:2304.09426, figure 3; these definitions are ours).
"""

import jax
import jax.numpy as jnp
import numpy as np

# Bounds the memory of the logits; the figures do not depend on it.
_BATCH = 1000


def representation(features):
    """Spread of the members' features: mean_m |z_m - mean_m z_m|^2. [M, N, D] -> [N].

    Exactly 0 where all members agree. Of experts [M, N, E, D], theirs are one vector.

    >>> from ltjax.posterior import dispersion
    >>> dispersion.representation([[[1.0, 0.0], [1.0, 1.0]], [[3.0, 0.0], [1.0, 1.0]]])
    Array([1., 0.], dtype=float32)
    """
    features = _flat(features)
    # From the first member on: equal members then differ by exactly nothing, which a
    # rounded mean of them need not, and a common shift of all members cancels.
    offsets = features - features[:1]
    deviations = offsets - offsets.mean(0, keepdims=True)
    return (deviations**2).sum(-1).mean(0)


def relative(features):
    """`representation` over |mean_m z_m|^2, 0 where members agree. [M, N, D] -> [N].

    >>> from ltjax.posterior import dispersion
    >>> dispersion.relative([[[1.0, 0.0]], [[3.0, 0.0]]])
    Array([0.25], dtype=float32)
    """
    features = _flat(features)
    spread = representation(features)
    length = (features.mean(0) ** 2).sum(-1)
    agree = spread == 0
    return jnp.where(agree, 0.0, spread / jnp.where(agree, 1.0, length))


def probability(probs):
    """Spread of the members' probabilities, likewise. [M, N, C] -> [N].

    >>> from ltjax.posterior import dispersion
    >>> dispersion.probability([[[1.0, 0.0]], [[0.0, 1.0]]])
    Array([0.5], dtype=float32)
    """
    return representation(probs)


def _flat(features):
    """In float32, the experts' features of an input as one vector."""
    features = jnp.asarray(features, jnp.float32)
    return features.reshape(*features.shape[:2], -1)


def per_class(logits, features, labels, classes):
    """The mean of each spread over the images of each class.

    `features` [M, N, D], or [M, N, E, D] of experts; `logits(features)` are those whose
    softmax is taken, `labels` [N]. Three lists [C], None for classes without images.
    """
    parts = []
    for first in range(0, features.shape[1], _BATCH):
        rows = np.arange(first, first + _BATCH)
        inside = rows < features.shape[1]  # the last batch is filled to equal size
        members = features[:, np.minimum(rows, features.shape[1] - 1)]
        found = {
            "representation": representation(members),
            "relative": relative(members),
            "probability": probability(jax.nn.softmax(logits(members))),
        }
        parts.append({name: np.asarray(value)[inside] for name, value in found.items()})
    counts = np.bincount(labels, minlength=classes)

    def mean(values):
        sums = np.bincount(labels, values, classes)
        return [float(s / n) if n else None for s, n in zip(sums, counts)]

    return {name: mean(np.concatenate([p[name] for p in parts])) for name in parts[0]}
