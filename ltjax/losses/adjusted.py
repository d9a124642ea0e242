"""Cross entropy and its adjustments to class frequency and to difficulty."""

import chex
import jax
import jax.numpy as jnp

# exp(-1e4) is 0 in float32, yet 1e4 leaves every loss and gradient finite.
ABSENT = -1e4


def cross_entropy(logits, labels):
    """Cross entropy -log softmax(logits)[label]. logits [..., C], labels [...].

    >>> from ltjax.losses import cross_entropy
    >>> cross_entropy([[2.0, 0.0], [2.0, 0.0]], [0, 1])
    Array([0.127, 2.127], dtype=float32)
    """
    logits, labels = jnp.asarray(logits, jnp.float32), jnp.asarray(labels)
    chex.assert_shape(logits, (*labels.shape, None))
    log_probs = jax.nn.log_softmax(logits)
    return -jnp.take_along_axis(log_probs, labels[..., None], axis=-1)[..., 0]


def soft_cross_entropy(logits, targets):
    """Cross entropy -sum of targets * log softmax(logits) over classes.

    logits and targets [..., C] to [...]; targets are shares of classes, as of mixed
    images. Those of one label give `cross_entropy`.

    >>> from ltjax.losses import soft_cross_entropy
    >>> soft_cross_entropy([[2.0, 0.0], [2.0, 0.0]], [[1.0, 0.0], [0.5, 0.5]])
    Array([0.127, 1.127], dtype=float32)
    """
    logits = jnp.asarray(logits, jnp.float32)
    targets = jnp.asarray(targets, jnp.float32)
    chex.assert_equal_shape((logits, targets))
    return -(targets * jax.nn.log_softmax(logits)).sum(-1)


def focal(logits, labels, gamma):
    """Focal loss (1 - p)^gamma * cross entropy, p the label's probability.

    Lin et al. 2017 (arXiv:1708.02002). logits [..., C], labels [...]. gamma = 0 is
    `cross_entropy`.

    >>> from ltjax.losses import focal
    >>> focal([[2.0, 0.0], [2.0, 0.0]], [0, 1], gamma=2)
    Array([0.002, 1.65 ], dtype=float32)
    """
    loss = cross_entropy(logits, labels)
    positive = loss > 0
    # At p = 1 the slope of (1 - p)^gamma is infinite for gamma < 1, though that of
    # the product is 0, so that the power is differentiated only where p < 1.
    miss = -jnp.expm1(-jnp.where(positive, loss, 1))
    return jnp.where(positive, miss**gamma, jnp.zeros_like(miss) ** gamma) * loss


def log_prior(counts):
    """Log class frequency log(counts / sum) [C], -1e4 for a class without examples.

    >>> from ltjax.losses import log_prior
    >>> log_prior([75, 25, 0])
    Array([    -0.288,     -1.386, -10000.   ], dtype=float32)
    """
    counts = jnp.asarray(counts, jnp.float32)
    present = counts > 0
    frequency = jnp.where(present, counts, 1) / counts.sum()
    return jnp.where(present, jnp.log(frequency), ABSENT)


def logit_adjusted(logits, labels, counts, tau=1.0):
    """Cross entropy of logits + tau * log_prior(counts).

    Menon et al. 2021 (arXiv:2007.07314). logits [..., C], labels [...], counts [C].
    Predict with the logits as they are. With equal counts or tau = 0 this is
    `cross_entropy`.

    >>> from ltjax.losses import logit_adjusted
    >>> logit_adjusted([[2.0, 0.0], [2.0, 0.0]], [0, 1], [90, 10])
    Array([0.015, 4.212], dtype=float32)
    """
    logits = jnp.asarray(logits, jnp.float32)
    shift = jnp.broadcast_to(tau * log_prior(counts), logits.shape)
    return cross_entropy(logits + shift, labels)


def balanced_softmax(logits, labels, counts):
    """Cross entropy of logits + log counts (Ren et al. 2020, arXiv:2007.10740).

    logits [..., C], labels [...], counts [C]. A constant added to all
    logits changes nothing, so that this is `logit_adjusted` with tau = 1. With
    equal counts it is `cross_entropy`.

    >>> from ltjax.losses import balanced_softmax
    >>> balanced_softmax([[2.0, 0.0], [2.0, 0.0]], [0, 1], [90, 10])
    Array([0.015, 4.212], dtype=float32)
    """
    return logit_adjusted(logits, labels, counts)
