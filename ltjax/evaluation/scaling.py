"""A temperature, and biases where images allow, that make probabilities honest.

softmax(log p / T + b), Guo et al. 2017 (arXiv:1706.04599) and, with the biases b [C],
Alexandari, Kundaje and Shrikumar, ICML 2020 (arXiv:1901.06852). A scale for each class,
Guo's vector scaling, would make the result depend on a constant that is added to the
logits of an image, which is no part of what they say; it is left out.

To be fitted on images that nothing was trained on. There each class weighs as much as
any other, as in a balanced test set: held-out images are as long-tailed as those of the
training, and a temperature of theirs would be that of the head. Where all of few images
are right, the best temperature is 0, and a mistake would cost any number of nats: so it
is the most probable one where log T is normal around 0 with deviation 1 / 2, as those
of networks mostly are, and each bias with 1. The more images, the less that weighs. On
the host, in double precision.
"""

from typing import NamedTuple

import jax
import numpy as np
from scipy import optimize
from scipy.special import log_softmax

LEAST = 10  # images of every class, to fit a bias for each
_FOLDS = 5
_SPREAD_OF_LOG_T = 0.5
_BOUNDS = (-np.log(1e3), np.log(1e3))  # of log T


class Scaling(NamedTuple):
    """What is done to log probabilities; None of `bias`: nothing is added."""

    temperature: float
    bias: tuple | None = None  # [C], of mean 0

    def __call__(self, log_probs):
        """Log probabilities [..., C] of log probabilities, or logits, [..., C]."""
        scaled = log_probs / self.temperature
        return scaled if self.bias is None else scaled + np.float32(self.bias)

    def told(self):
        """What a row of `results.json` says of it."""
        bias = {} if self.bias is None else {"bias": list(self.bias)}
        return {"temperature": self.temperature, **bias}


def of_row(figures):
    """The `Scaling` of a row of `results.json`, None of one that has none."""
    told = figures.get("calibration")
    if told is None:
        return None
    bias = told.get("bias")
    return Scaling(told["temperature"], None if bias is None else tuple(bias))


def calibrated(log_probs, scaling):
    """`log_probs(features) -> [B, C]` under a `Scaling`; None: as they are."""
    if scaling is None:
        return log_probs
    return lambda features: jax.nn.log_softmax(scaling(log_probs(features)))


def fitted(log_probs, labels):
    """The most probable `Scaling` of log_probs [N, C] and labels [N], balanced.

    With biases where every class has `LEAST` images and, over five folds of them, the
    NLL of those left out is lower with biases than without. Classes without images
    have no voice.

    >>> import numpy as np
    >>> from ltjax.evaluation.scaling import fitted
    >>> log_probs = np.log([[0.98, 0.02]] * 4 + [[0.02, 0.98]] * 4)
    >>> found = fitted(log_probs, [0, 0, 0, 1, 1, 1, 1, 0])  # three of four are right
    >>> round(found.temperature, 2)
    1.83
    """
    log_probs, labels = np.asarray(log_probs, np.float64), np.asarray(labels)
    if log_probs.ndim != 2 or labels.shape != log_probs.shape[:1] or not len(labels):
        raise ValueError(
            f"log_probs are {log_probs.shape} and labels {labels.shape}, should be "
            "[N, C] and [N], of one image at least"
        )
    counts = np.bincount(labels, minlength=log_probs.shape[1])
    plain = _fit(log_probs, labels, False)
    if counts.min() < LEAST:
        return plain
    fold = _folds(labels)
    left_out = {biased: 0.0 for biased in (False, True)}
    for at in range(_FOLDS):
        own, rest = fold == at, fold != at
        for biased in left_out:
            found = _fit(log_probs[rest], labels[rest], biased)
            left_out[biased] += balanced_nll(found(log_probs[own]), labels[own])
    return _fit(log_probs, labels, True) if left_out[True] < left_out[False] else plain


def balanced_nll(log_probs, labels):
    """The mean over classes of the mean NLL of theirs, of logits [N, C], labels [N]."""
    weights = _weights(labels)
    own = log_softmax(log_probs, -1)[np.arange(len(labels)), labels]
    return float(-(weights * own).sum())


def _weights(labels):
    """Of each image [N]: those of a class sum to the same as of any other, all to 1."""
    counts = np.bincount(labels)
    return 1 / (counts[labels] * np.count_nonzero(counts))


def _folds(labels):
    """The fold of each image, [N]: those of a class in turn, as they come."""
    place = np.zeros(len(labels), int)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        place[rows] = np.arange(len(rows)) % _FOLDS
    return place


def _fit(log_probs, labels, biased):
    """The most probable T and, `biased`, b: the minimum over log T and b."""
    weights, rows = _weights(labels), np.arange(len(labels))
    # How many images of equal weight the weighted ones are worth.
    images = 1 / (weights**2).sum()
    spread = np.r_[_SPREAD_OF_LOG_T, np.ones(log_probs.shape[1] if biased else 0)]
    # What never comes stays so, and is a number.
    log_probs = np.maximum(log_probs, -1e6)

    def objective(x):
        scale, bias = np.exp(-x[0]), x[1:] if biased else 0.0
        log_p = log_softmax(scale * log_probs + bias, -1)
        gap = np.exp(log_p)
        gap[rows, labels] -= 1
        gap *= weights[:, None]
        by_log_t = -scale * (gap * log_probs).sum()
        slope = np.r_[by_log_t, gap.sum(0)[: len(x) - 1]] + x / spread**2 / images
        nll = -(weights * log_p[rows, labels]).sum()
        return nll + (x**2 / spread**2).sum() / 2 / images, slope

    found = optimize.minimize(
        objective,
        np.zeros(len(spread)),
        jac=True,
        method="L-BFGS-B",
        bounds=[_BOUNDS, *(len(spread) - 1) * [(-20.0, 20.0)]],
        options={"maxiter": 500, "ftol": 1e-14, "gtol": 1e-9},
    ).x
    bias = tuple(map(float, found[1:] - found[1:].mean())) if biased else None
    return Scaling(float(np.exp(found[0])), bias)
