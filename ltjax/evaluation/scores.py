"""Rows of the results: what a classifier is worth on the test images."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ltjax.evaluation import bootstrap, conformal, refusal
from ltjax.evaluation import groups as figures_of
from ltjax.evaluation.calibration import (
    accuracy,
    adaptive_ece,
    class_ece,
    class_gaps,
    nll,
)
from ltjax.evaluation.groups import group_ece, per_class_accuracy, summary
from ltjax.evaluation.tally import empty, tally

# Bounds the memory of logits and distances; the figures do not depend on it.
_BATCH = 1000

_tally = jax.jit(tally)  # compiled once for all rows


def score(log_probs, features, labels, groups):
    """A row's figures, and the accuracy per class, of features [K, N, D].

    `log_probs(features [K, B, D])` returns [B, C]; `groups` has a mask of the classes,
    bool [C], by the name of each group. Classes without test images have accuracy None;
    "se" are standard errors of three figures, "refusal" is what refusing comes to, by
    confidence and by entropy. Where the features or what they give are not finite,
    neither is the NLL.
    """
    total, each, gaps = _whole(log_probs, features, labels, _classes(groups))
    figures = {
        **summary(total, groups),
        "group_ece": group_ece(total, groups),
        "adaptive_ece": adaptive_ece(each.confidence, each.right),
        "class_ece": class_ece(gaps, len(each.right)),
        "overconfidence": _mean(each.confidence - each.right),
        "se": bootstrap.standard_errors(each.nll, each.confidence, each.right),
        "refusal": {
            name: refusal.figures(score, each.right, labels, groups)
            for name, score in sureness(each).items()
        },
    }
    every = per_class_accuracy(total)
    return figures, [None if np.isnan(a) else float(a) for a in every]


def briefly(log_probs, features, labels, groups):
    """`groups.summary` alone, of features [K, N, D] as `score` sees them."""
    return summary(_whole(log_probs, features, labels, _classes(groups))[0], groups)


class Each(NamedTuple):
    """What a row says of each of N images."""

    nll: np.ndarray  # [N], nats
    confidence: np.ndarray  # [N], the probability of the top label
    right: np.ndarray  # [N], 1 where that is the image's
    entropy: np.ndarray  # [N], nats


def sureness(each):
    """The scores that tell what to refuse, by name, [N]: the larger, the surer."""
    return {"confidence": each.confidence, "entropy": -each.entropy}


def balanced(log_probs, features, labels, classes):
    """`groups.balanced` of features [K, N, D], as `score` sees them."""
    return figures_of.balanced(_whole(log_probs, features, labels, classes)[0])


def _whole(log_probs, features, labels, classes):
    """The tally of all images, what is said of `Each`, and `class_gaps`."""
    labels, total, gaps, each = np.asarray(labels), empty(classes), 0.0, []
    for rows, mask in _batches(len(labels)):
        found, own = log_probs(features[:, rows]), labels[rows]
        total = total + _tally(found, own, mask)
        each.append([np.asarray(values)[mask] for values in _each(found, own)])
        gaps = gaps + class_gaps(np.exp(np.asarray(found)[mask]), own[mask])
    each = Each(*(map(np.concatenate, zip(*each)) if each else 4 * (np.zeros(0),)))
    return jax.tree.map(np.asarray, total), each, gaps


@jax.jit
def _each(log_probs, labels):
    """The fields of `Each` of images [B]."""
    sure, entropy = _sureness(log_probs)
    return nll(log_probs, labels), sure, accuracy(log_probs, labels), entropy


@jax.jit
def _sureness(log_probs):
    """The probability of the top label of each image [B], and its entropy in nats."""
    probs = jnp.exp(log_probs)
    # What never comes has no share of the entropy: 0 * -inf is not nothing.
    entropy = -jnp.where(probs > 0, probs * log_probs, 0.0).sum(-1)
    return probs.max(-1), entropy


def per_image(compute, features):
    """`compute(features [K, B, D]) -> [B, ...]` of all images, [N, ...], in NumPy."""
    return np.concatenate(list(_of_batches(compute, features)))


def top_labels(log_probs, features):
    """The most probable class of every image, int32 [N], and its probability, [N].

    And the entropy of all classes' probabilities, [N], in nats. `log_probs` and
    `features` are those of `score`.
    """
    found = []
    for of_batch in _of_batches(log_probs, features):
        sure, entropy = map(np.asarray, _sureness(of_batch))
        found.append((of_batch.argmax(-1), sure, entropy))
    labels, *scores = map(np.concatenate, zip(*found))
    return labels.astype(np.int32), *scores


def set_coverage(log_probs, features, labels, groups, coverage=0.9, units=None):
    """What conformal sets are worth: `conformal.split_coverage` by group, or None.

    The arguments are those of `score`, `features` [K, N, D]; `units` [N] say which
    images belong together, None: none do. None where half of
    the images are too few to calibrate with, or all probabilities too many to be held
    at once.
    """
    if not conformal.measurable((features.shape[1], _classes(groups)), coverage):
        return None
    every = np.concatenate(list(_of_batches(log_probs, features)))
    labels = np.asarray(labels)
    return conformal.split_coverage(every, labels, groups, coverage, units=units)


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


def _mean(values):
    return float(np.mean(values, dtype=np.float64)) if len(values) else None


def _classes(groups):
    return len(next(iter(groups.values())))
