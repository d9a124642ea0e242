"""Rows of the results: what a classifier is worth on the test images."""

import jax
import jax.numpy as jnp
import numpy as np

from ltjax.data import longtail
from ltjax.evaluation import conformal, groups
from ltjax.evaluation.tally import empty, tally
from ltjax.mistake import Mistake
from ltjax.posterior import dispersion
from ltjax.posterior.predictive import mean_log_probs

# Bounds the memory of logits and distances; the figures do not depend on it.
_BATCH = 1000

_tally = jax.jit(tally)  # compiled once for all rows


def score(log_probs, features, labels, counts):
    """A row's figures, and the accuracy per class, of features [K, N, D].

    `log_probs(features [K, B, D])` returns [B, C]. `counts` [C] are the training
    images per class, which decide the groups. Classes without test images have
    accuracy None.

    Raises `Mistake` if the features or what they give are not finite.
    """
    labels = np.asarray(labels)
    total = empty(len(counts))
    for rows, mask in _batches(len(labels)):
        total = total + _tally(log_probs(features[:, rows]), labels[rows], mask)
    total = jax.tree.map(np.asarray, total)
    by_group = longtail.groups(counts)
    figures = {
        **groups.summary(total, by_group),
        "group_ece": groups.group_ece(total, by_group),
    }
    if not np.isfinite(figures["nll"]):
        raise Mistake(
            f"the NLL of the test images is {figures['nll']}: the weights have "
            "diverged; try a smaller --optim.lr or --classifier.lr"
        )
    accuracy = groups.per_class_accuracy(total)
    return figures, [None if np.isnan(a) else float(a) for a in accuracy]


def top_labels(log_probs, features):
    """The most probable class of every image, int32 [N], and its probability, [N].

    `log_probs` and `features` are those of `score`.
    """
    found = []
    for of_batch in _of_batches(log_probs, features):
        found.append((of_batch.argmax(-1), np.exp(of_batch.max(-1))))
    labels, confidences = map(np.concatenate, zip(*found))
    return labels.astype(np.int32), confidences


def set_coverage(log_probs, features, labels, counts, coverage=0.9):
    """What conformal sets are worth: `conformal.split_coverage` by group, or None.

    The arguments are those of `score`. None where half of the images are too few to
    calibrate with, or all probabilities too many to be held at once.
    """
    if not conformal.measurable((features.shape[1], len(counts)), coverage):
        return None
    every = np.concatenate(list(_of_batches(log_probs, features)))
    by_group = longtail.groups(counts)
    return conformal.split_coverage(every, np.asarray(labels), by_group, coverage)


def dispersion_per_class(logits, features, labels, classes):
    """How far the draws disagree, as the mean over each class's test images.

    `features` [M, N, D], or [M, N, E, D] of experts; `logits(features)` are those whose
    softmax is taken, `labels` [N]. Three lists [C], None for classes without images.
    """

    def spreads(members):
        return {
            "representation": dispersion.representation(members),
            "relative": dispersion.relative(members),
            "probability": dispersion.probability(jax.nn.softmax(logits(members))),
        }

    parts = list(_of_batches(spreads, features))
    per_image = jax.tree.map(lambda *values: np.concatenate(values), *parts)
    counts = np.bincount(labels, minlength=classes)

    def per_class(values):
        sums = np.bincount(labels, np.asarray(values), classes)
        return [float(s / n) if n else None for s, n in zip(sums, counts)]

    return {name: per_class(values) for name, values in per_image.items()}


def _of_batches(compute, features):
    """compute(features [M, B, D]) of each batch, in arrays of the host."""
    for rows, mask in _batches(features.shape[1]):
        found = compute(features[:, rows])
        yield jax.tree.map(lambda leaf, mask=mask: np.asarray(leaf)[mask], found)


def _batches(images):
    """Rows of each batch, and which of them count: the last is filled to equal size."""
    for first in range(0, images, _BATCH):
        rows = np.arange(first, first + _BATCH)
        yield np.minimum(rows, images - 1), rows < images


def one_pass(logits, params):
    """Log probabilities of a classifier on the features of the mean."""
    return lambda z: jax.nn.log_softmax(logits(params, z[0]))


def every_draw(logits, params, heads=None):
    """Log of the mean probability over K draws, of their features [K, B, D].

    The classifier `params` is one for all of them; of whole networks each draw has its
    own of `heads`, leading axis K, instead.
    """

    def own(draw):
        return jax.tree.map(lambda leaf: leaf[draw], heads) if heads else params

    def log_probs(z):
        each = [logits(own(draw), member) for draw, member in enumerate(z)]
        return mean_log_probs(jnp.stack(each))

    return log_probs
