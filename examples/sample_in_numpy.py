"""Draws from a posterior of ltjax with NumPy alone. To be copied.

    python -m ltjax.export RUN --to posterior
    weights = draw(np.random.default_rng(0), np.load("RUN/export/posterior.npz"))

A normal distribution over all weights together, from snapshots of training (SWAG):

    N(mean, scale / 2 (diag(scatter / count) + D D^T / (min(count, K) - 1)))

where D [P, K] are the deviations, of which min(count, K) columns are filled. Without
any, K = 0, it is N(mean, scale diag(scatter / count)).
"""

import numpy as np


def draw(rng, file, scale=1.0):
    """One draw of the weights, {name: array}; at scale 0 the mean."""
    count = int(file["count"])
    names = [name[5:] for name in file.files if name.startswith("mean/")]
    rank = len(file[f"deviations/{names[0]}"])
    # One vector for all tensors: they vary together.
    z = rng.standard_normal(rank) / np.sqrt(max(min(count, rank) - 1, 1))
    weights = {}
    for name in names:
        mean = file[f"mean/{name}"]
        spread = np.sqrt(file[f"scatter/{name}"] / max(count, 1))
        low_rank = np.tensordot(z, file[f"deviations/{name}"], axes=1)
        shift = spread * rng.standard_normal(mean.shape) + low_rank
        weights[name] = mean + np.sqrt(scale / (2 if rank else 1)) * shift
    return weights
