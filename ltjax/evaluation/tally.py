"""Sums per class over a test set: add the tallies of its batches, divide at the end."""

import chex
import jax
import jax.numpy as jnp
from flax import struct

from ltjax.evaluation.calibration import accuracy, brier, confidence_bin


@struct.dataclass
class Tally:
    """Sums over images, by the class of the true label, in float32.

    Counts are exact up to 2^24 images per class.
    """

    count: jax.Array  # [C]
    correct: jax.Array  # [C]
    nll: jax.Array  # [C], nats
    brier: jax.Array  # [C]
    bin_count: jax.Array  # [C, bins], by the confidence of the top label
    bin_correct: jax.Array  # [C, bins]
    bin_confidence: jax.Array  # [C, bins]

    def __add__(self, other):
        return jax.tree.map(jnp.add, self, other)


def empty(classes, bins=15):
    """The tally of no image: adding it changes nothing."""
    per_class = [jnp.zeros(classes) for _ in range(4)]
    per_bin = [jnp.zeros((classes, bins)) for _ in range(3)]
    return Tally(*per_class, *per_bin)


def tally(log_probs, labels, mask, bins=15):
    """Tally of one padded batch. log_probs [N, C], labels [N], mask [N].

    log_probs are normalised logarithms, of a softmax or of a mixture's mean. Rows with
    mask 0 count for nothing, whatever they hold.

    >>> import numpy as np
    >>> from ltjax.evaluation.tally import empty, tally
    >>> log_probs = np.log([[0.9, 0.1], [0.6, 0.4]])
    >>> total = empty(classes=2) + tally(log_probs, [0, 1], [1, 1])
    >>> total.count, total.correct
    (Array([1., 1.], dtype=float32), Array([1., 0.], dtype=float32))
    """
    log_probs, labels = jnp.asarray(log_probs, jnp.float32), jnp.asarray(labels)
    kept = jnp.asarray(mask) != 0
    chex.assert_shape(log_probs, (*kept.shape, None))
    chex.assert_equal_shape([labels, kept])

    classes = log_probs.shape[-1]
    # Padding may hold anything, NaN and labels that are no class among them.
    log_probs = jnp.where(kept[:, None], log_probs, 0)
    labels = jnp.where(kept, labels, 0)
    own = jax.nn.one_hot(labels, classes, dtype=bool) & kept[:, None]

    def per_class(values):
        # A masked sum, not a product: an infinite nll stays with its own class.
        return jnp.where(own, values[:, None], 0).sum(0)

    confidence = jnp.exp(log_probs.max(-1))
    in_bin = jax.nn.one_hot(confidence_bin(confidence, bins), bins)

    def per_bin(values):
        # A product, not a scatter: its order of summation is the same in every run.
        # Full precision, since accelerators round the factors to 8 or 11 bits.
        weighted = in_bin * values[:, None]
        rows = own.astype(jnp.float32)
        return jnp.matmul(rows.T, weighted, precision=jax.lax.Precision.HIGHEST)

    ones = jnp.ones_like(confidence)
    hit = accuracy(log_probs, labels)
    nll = -jnp.take_along_axis(log_probs, labels[:, None], axis=-1)[:, 0]
    return Tally(
        count=per_class(ones),
        correct=per_class(hit),
        nll=per_class(nll),
        brier=per_class(brier(jnp.exp(log_probs), labels)),
        bin_count=per_bin(ones),
        bin_correct=per_bin(hit),
        bin_confidence=per_bin(confidence),
    )
