"""How sure predictions are, and how often right, on the host in double precision."""

from typing import NamedTuple

import numpy as np

from ltjax.evaluation.calibration import confidence_bin

_Z = 1.959963984540054  # the 97.5 % quantile of the normal distribution


class Bins(NamedTuple):
    """Images by the confidence of their top label, in bins of equal width, [bins]."""

    count: np.ndarray
    right: np.ndarray  # of them, as a number
    confidence: np.ndarray  # their sum

    @property
    def accuracy(self):
        """Share of right images in each bin, NaN where it is empty."""
        return _share(self.right, self.count)

    @property
    def mean_confidence(self):
        """Mean confidence in each bin, NaN where it is empty."""
        return _share(self.confidence, self.count)

    @property
    def interval(self):
        """Wilson's 95 % interval of each accuracy, [2, bins], NaN where it is empty."""
        p, n = self.accuracy, np.where(self.count > 0, self.count, np.nan)
        middle = (p + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
        half = _Z * np.sqrt(p * (1 - p) / n + _Z**2 / (4 * n**2)) / (1 + _Z**2 / n)
        return np.stack((middle - half, middle + half))


def reliability(confidence, right, bins=15):
    """The `Bins` of images with a confidence in 0..1 and whether they are right, [N].

    Those of `calibration.ece` (Guo et al. 2017, arXiv:1706.04599): a bin holds its
    upper edge and not its lower.
    """
    confidence = np.asarray(confidence, np.float32)
    place = np.asarray(confidence_bin(confidence, bins))
    weights = (None, np.asarray(right, np.float64), confidence)
    return Bins(*(np.bincount(place, w, bins).astype(np.float64) for w in weights))


def difference(right, other):
    """Accuracy of `right` less that of `other`, and its standard error, fractions.

    Both tell of the same N images [N] whether they are right; the error is that of the
    mean of N differences, so what is hard for both cancels. 0 for fewer than 2 images.
    """
    gaps = np.asarray(right, np.float64) - np.asarray(other, np.float64)
    error = gaps.std(ddof=1) / np.sqrt(len(gaps)) if len(gaps) > 1 else 0.0
    return float(gaps.mean()), float(error)


def _share(part, whole):
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
