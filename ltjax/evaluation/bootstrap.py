"""Standard errors by the bootstrap, on the host in double precision.

Efron, Annals of Statistics 7 (1979): a figure is worked out again of as many images,
drawn from the same ones with replacement, and how far these figures spread is the
standard error. It is that of the test images alone; another training differs, too.
"""

import functools

import numpy as np

from ltjax.evaluation.calibration import confidence_bin

DRAWS = 200  # the error of a standard error is then about 5 % of it
_BINS = 15


def standard_errors(nll, confidence, right, draws=DRAWS, seed=0):
    """{"acc", "nll", "ece"} of N test images, in the units of a result's row.

    `nll` [N] in nats, `confidence` [N] of the top label in 0..1, and whether it is
    `right`, [N]. Rows on as many images see the same draws. None of fewer than 2
    images; a figure that is not finite has none either.

    >>> import numpy as np
    >>> from ltjax.evaluation.bootstrap import standard_errors
    >>> right = np.arange(100) < 90
    >>> round(standard_errors(np.ones(100), np.full(100, 0.9), right)["acc"], 1)
    3.0
    """
    nll, confidence, right = (
        np.asarray(values, np.float64) for values in (nll, confidence, right)
    )
    count = len(nll)
    if count < 2:
        return dict.fromkeys(("acc", "nll", "ece"))
    known = np.nan_to_num(confidence).astype(np.float32)
    place, gaps = np.asarray(confidence_bin(known, _BINS)), right - confidence
    with np.errstate(invalid="ignore"):  # an image that is not in a draw times infinity
        sums = [
            (100 * times @ right, times @ nll, _ece(times * gaps, place))
            for times in _drawn(count, draws, seed)
        ]
        spread = np.std(np.array(sums) / count, axis=0, ddof=1)
    return {
        name: float(value) if np.isfinite(value) else None
        for name, value in zip(("acc", "nll", "ece"), spread)
    }


def _ece(gaps, place):
    """The ECE of so many images, times their number."""
    return np.abs(np.bincount(place, gaps, _BINS)).sum()


@functools.lru_cache(1)
def _drawn(count, draws, seed):
    """How often each of so many images is in each draw, int [draws, count]."""
    rng = np.random.default_rng(seed)
    kind = np.uint16 if count < 2**16 else np.uint32
    return np.stack(
        [
            np.bincount(rng.integers(0, count, count), minlength=count).astype(kind)
            for _ in range(draws)
        ]
    )
