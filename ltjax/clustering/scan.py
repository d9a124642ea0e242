"""How many clusters there are, by a stated criterion, before any is found."""

import dataclasses

import numpy as np
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score

from ltjax.mistake import Mistake

_MOST = 2000  # images that are looked at
_STARTS = 3


def chosen(counts, features, say, seed=0):
    """The number of clusters, of `counts`, whose silhouette is the largest.

    That of k-means on features [N, D] of length 1, of at most 2,000 images: the mean of
    (b - a) / max(a, b), a the mean distance to one's own cluster, b that to the nearest
    other one. `say(line)` tells each.
    """
    features = np.asarray(features, np.float64).reshape(len(features), -1)
    if max(counts) >= len(features):
        raise Mistake(
            f"objective.scan has {max(counts)} clusters of {len(features)} images; "
            "there must be fewer"
        )
    rng = np.random.default_rng(seed)
    if len(features) > _MOST:
        features = features[np.sort(rng.choice(len(features), _MOST, replace=False))]
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    unit, found = features / np.where(lengths > 0, lengths, 1), {}
    for count in counts:
        means = KMeans(count, n_init=_STARTS, random_state=seed).fit_predict(unit)
        found[count] = float(silhouette_score(unit, means))
        say(f"{count} clusters: silhouette {found[count]:.3f}")
    best = max(found, key=found.get)
    say(f"{best} clusters are taken, of the largest silhouette of k-means")
    return best


def settled(config, classes):
    """The config with so many clusters, and none to try any more."""
    return dataclasses.replace(
        config,
        data=dataclasses.replace(config.data, classes=classes),
        objective=dataclasses.replace(config.objective, scan=()),
    )
