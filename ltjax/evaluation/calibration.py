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


def adaptive_ece(confidence, right, bins=15):
    """ECE over bins of equally many images, a fraction, of N confidences and hits, [N].

    Nguyen and O'Connor, EMNLP 2015 (arXiv:1508.05154): sorted by confidence and cut
    into `bins` parts whose sizes differ by at most 1; equal confidences are cut in no
    order, each has the mean of their hits. Of no image None. On the host.

    >>> from ltjax.evaluation.calibration import adaptive_ece
    >>> round(adaptive_ece([0.9, 0.9, 0.6, 0.6], [1, 0, 1, 1], bins=2), 2)
    0.4
    """
    confidence, right = (np.asarray(x, np.float64) for x in (confidence, right))
    if not len(confidence):
        return None
    values, place, count = np.unique(
        confidence, return_inverse=True, return_counts=True
    )
    hits = np.bincount(place, right, len(values)) / count
    gaps = np.repeat(hits - values, count)
    parts = np.array_split(gaps, min(bins, len(gaps)))
    return float(sum(abs(part.sum()) for part in parts) / len(gaps))


def class_ece(sums, images):
    """Class-wise ECE, a fraction: the mean over C classes of that of p(class).

    Nixon et al. 2019 (arXiv:1904.01685), the "static" one. `sums` [C, bins] are those
    of the hits less p(class) over the images of each bin of p(class), and `images` how
    many there are. On the host; None of no image.
    """
    if not images:
        return None
    return float(np.abs(np.asarray(sums, np.float64)).sum(1).mean() / images)


def class_gaps(probs, labels, bins=15):
    """The `sums` of `class_ece` of some images, float64 [C, bins]; they add.

    `probs` [N, C], `labels` [N].
    """
    probs, labels = np.asarray(probs), np.asarray(labels)
    classes = probs.shape[1]
    place = np.asarray(confidence_bin(probs, bins)) + bins * np.arange(classes)
    gaps = -probs.astype(np.float64)
    gaps[np.arange(len(labels)), labels] += 1
    return np.bincount(place.ravel(), gaps.ravel(), classes * bins).reshape(-1, bins)


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
