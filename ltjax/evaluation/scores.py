"""Rows of the results: what a classifier is worth on the test images."""

import jax
import jax.numpy as jnp
import numpy as np

from ltjax.evaluation import bootstrap, conformal
from ltjax.evaluation import groups as figures_of
from ltjax.evaluation.calibration import accuracy, nll
from ltjax.evaluation.groups import group_ece, per_class_accuracy, summary
from ltjax.evaluation.tally import empty, tally

# Bounds the memory of logits and distances; the figures do not depend on it.
_BATCH = 1000

_tally = jax.jit(tally)  # compiled once for all rows


def score(log_probs, features, labels, groups):
    """A row's figures, and the accuracy per class, of features [K, N, D].

    `log_probs(features [K, B, D])` returns [B, C]; `groups` has a mask of the classes,
    bool [C], by the name of each group. Classes without test images have accuracy None;
    "se" are standard errors of three figures. Where the features or what they give are
    not finite, neither is the NLL.
    """
    total, each = _whole(log_probs, features, labels, _classes(groups))
    figures = {
        **summary(total, groups),
        "group_ece": group_ece(total, groups),
        "se": bootstrap.standard_errors(*each),
    }
    every = per_class_accuracy(total)
    return figures, [None if np.isnan(a) else float(a) for a in every]


def balanced(log_probs, features, labels, classes):
    """`groups.balanced` of features [K, N, D], as `score` sees them."""
    return figures_of.balanced(_whole(log_probs, features, labels, classes)[0])


def _whole(log_probs, features, labels, classes):
    """The tally of all images, and NLL, confidence, whether right, [N] each."""
    labels, total, each = np.asarray(labels), empty(classes), []
    for rows, mask in _batches(len(labels)):
        found, own = log_probs(features[:, rows]), labels[rows]
        total = total + _tally(found, own, mask)
        each.append([np.asarray(values)[mask] for values in _each(found, own)])
    each = tuple(map(np.concatenate, zip(*each))) if each else 3 * (np.zeros(0),)
    return jax.tree.map(np.asarray, total), each


@jax.jit
def _each(log_probs, labels):
    """NLL, confidence of the top label, and whether it is right, of each image [B]."""
    confidence = jnp.exp(log_probs.max(-1))
    return nll(log_probs, labels), confidence, accuracy(log_probs, labels)


def top_labels(log_probs, features):
    """The most probable class of every image, int32 [N], and its probability, [N].

    `log_probs` and `features` are those of `score`.
    """
    found = []
    for of_batch in _of_batches(log_probs, features):
        found.append((of_batch.argmax(-1), np.exp(of_batch.max(-1))))
    labels, confidences = map(np.concatenate, zip(*found))
    return labels.astype(np.int32), confidences


def set_coverage(log_probs, features, labels, groups, coverage=0.9):
    """What conformal sets are worth: `conformal.split_coverage` by group, or None.

    The arguments are those of `score`, `features` [K, N, D]. None where half of
    the images are too few to calibrate with, or all probabilities too many to be held
    at once.
    """
    if not conformal.measurable((features.shape[1], _classes(groups)), coverage):
        return None
    every = np.concatenate(list(_of_batches(log_probs, features)))
    return conformal.split_coverage(every, np.asarray(labels), groups, coverage)


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


def _classes(groups):
    return len(next(iter(groups.values())))
