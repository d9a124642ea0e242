"""Accuracy and calibration: is it right, and does it know when."""

import chex
import jax
import jax.numpy as jnp
import numpy as np


def accuracy(logits, labels):
    """1 where the largest logit is the label's, else 0. logits [..., C], labels [...].

    The first of several equal logits counts as the largest.

    >>> from ltjax.evaluation import accuracy
    >>> accuracy([[2.0, 0.0], [2.0, 0.0]], [0, 1])
    Array([1., 0.], dtype=float32)
    """
    logits, labels = _arrays(logits, labels)
    return (logits.argmax(-1) == labels).astype(jnp.float32)


def nll(logits, labels):
    """Negative log-likelihood -log softmax(logits)[label] in nats, without epsilon.

    logits [..., C], labels [...]. Log probabilities are logits too.

    >>> from ltjax.evaluation import nll
    >>> nll([[2.0, 0.0], [2.0, 0.0]], [0, 1])
    Array([0.127, 2.127], dtype=float32)
    """
    logits, labels = _arrays(logits, labels)
    log_probs = jax.nn.log_softmax(logits)
    return -jnp.take_along_axis(log_probs, labels[..., None], axis=-1)[..., 0]


def brier(probs, labels):
    """Squared distance of probs to the one-hot label, summed over classes (0..2).

    probs [..., C], labels [...].

    >>> from ltjax.evaluation import brier
    >>> brier([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]], [0, 0, 0])
    Array([0. , 0.5, 2. ], dtype=float32)
    """
    probs, labels = _arrays(probs, labels)
    return jnp.square(probs - jax.nn.one_hot(labels, probs.shape[-1])).sum(-1)


def ece(probs, labels, bins=15):
    """Expected calibration error of the top label, a fraction. probs [N, C].

    sum_b (n_b / N) |accuracy_b - confidence_b| (Guo et al. 2017, arXiv:1706.04599) over
    bins of equal width; a bin holds its upper edge and not its lower, the last holds 1.

    >>> from ltjax.evaluation import ece
    >>> probs = [[0.9, 0.1], [0.9, 0.1]]  # sure, and right once
    >>> ece(probs, [0, 1])
    Array(0.4, dtype=float32)
    """
    probs, labels = _arrays(probs, labels)
    confidence = probs.max(-1)
    gap = accuracy(probs, labels) - confidence
    rows = jax.nn.one_hot(confidence_bin(confidence, bins), bins)
    return jnp.abs((rows * gap[:, None]).sum(0)).sum() / len(gap)


def temperature(logits, labels):
    """The T > 0 with the lowest mean NLL of logits / T, in 1e-3..1e3; logits [N, C].

    Guo et al. 2017 (arXiv:1706.04599). The NLL is convex in 1 / T; its derivative, the
    mean of E_p[logit] - logit[label], is brought to zero by bisection of log T. To be
    fitted on validation images.

    >>> from ltjax.evaluation import temperature
    >>> logits = [[4.0, 0.0]] * 4  # surer than three right of four
    >>> temperature(logits, [0, 0, 0, 1])
    Array(3.641, dtype=float32)
    """
    logits, labels = _arrays(logits, labels)
    right = jnp.take_along_axis(logits, labels[..., None], axis=-1)[..., 0]

    def halve(_, ends):
        low, high = ends
        middle = (low + high) / 2
        probs = jax.nn.softmax(logits * jnp.exp(-middle))
        # 0 * -inf is no logit's share of the mean.
        expected = jnp.where(probs > 0, probs * logits, 0.0).sum(-1)
        too_sharp = (expected - right).mean() > 0
        return jnp.where(too_sharp, middle, low), jnp.where(too_sharp, high, middle)

    end = jnp.log(jnp.float32(1e3))
    low, high = jax.lax.fori_loop(0, 40, halve, (-end, end))
    return jnp.exp((low + high) / 2)


def confidence_bin(confidence, bins):
    """Which of the intervals (i / bins, (i + 1) / bins] holds each confidence [...]."""
    # Compared with the edges as rounded, since confidence * bins may round across one.
    edges = jnp.asarray(np.arange(1, bins) / bins, jnp.float32)
    return jnp.searchsorted(edges, confidence, side="left")


def _arrays(scores, labels):
    scores, labels = jnp.asarray(scores, jnp.float32), jnp.asarray(labels)
    chex.assert_shape(scores, (*labels.shape, None))
    return scores, labels
