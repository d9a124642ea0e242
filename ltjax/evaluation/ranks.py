"""Whether two quantities go up together."""

import numpy as np


def correlation(values, others):
    """Spearman's rank correlation of two lists [N]; NaN where one does not vary."""
    ranks = np.stack([_ranks(np.asarray(x)) for x in (values, others)])
    ranks -= ranks.mean(1, keepdims=True)
    lengths = np.sqrt((ranks**2).sum(1)).prod()
    return float(ranks.prod(0).sum() / lengths) if lengths else float("nan")


def _ranks(values):
    """Places in ascending order; equal values share their mean place."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place]
