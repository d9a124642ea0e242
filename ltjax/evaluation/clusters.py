"""What clusters are worth, where classes are known after all."""

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn import metrics


def scores(targets, clusters, classes):
    """Scores of clusters [N] of images of classes `targets` [N], fractions.

    "balanced_accuracy" is the mean recall of the classes with images, "accuracy" the
    share of right images, "f1" the mean of the F1 scores of the classes with images or
    predictions, all after `match`; "nmi" (by the arithmetic mean) and "ari" need none.

    >>> import numpy as np
    >>> from ltjax.evaluation import clusters
    >>> found = clusters.scores(np.array([0, 0, 0, 1]), np.array([1, 1, 0, 0]), 2)
    >>> [round(found[name], 3) for name in ("balanced_accuracy", "accuracy", "f1")]
    [0.833, 0.75, 0.733]
    """
    targets, clusters = _checked(targets, clusters, classes)
    predicted = match(targets, clusters, classes)[clusters]
    recalls = recall(targets, predicted, classes)
    right = np.bincount(targets[targets == predicted], minlength=classes)
    # Images of clusters that no class is matched with are predicted as none.
    taken = np.bincount(predicted[predicted >= 0], minlength=classes)
    all_of = np.bincount(targets, minlength=classes) + taken
    return {
        "balanced_accuracy": float(np.nanmean(recalls)),
        "accuracy": float((targets == predicted).mean()),
        "nmi": float(metrics.normalized_mutual_info_score(targets, clusters)),
        "ari": float(metrics.adjusted_rand_score(targets, clusters)),
        "f1": float((2 * right[all_of > 0] / all_of[all_of > 0]).mean()),
    }


def match(targets, clusters, classes):
    """The class of each cluster, int [K], such that most images are right; -1: none.

    One to one, by the Hungarian method; of more clusters than classes some have none.
    """
    targets, clusters = np.asarray(targets), np.asarray(clusters)
    count = max(classes, int(clusters.max()) + 1)
    both = np.zeros((count, classes), np.int64)
    np.add.at(both, (clusters, targets), 1)
    rows, columns = linear_sum_assignment(both, maximize=True)
    found = np.full(count, -1)
    found[rows] = columns
    return found


def recall(targets, predicted, classes):
    """The share of right images of each class, [C]; NaN of one without images."""
    images = np.bincount(targets, minlength=classes)
    right = np.bincount(targets[targets == predicted], minlength=classes)
    return np.where(images > 0, right / np.maximum(images, 1), np.nan)


def _checked(targets, clusters, classes):
    targets, clusters = np.asarray(targets), np.asarray(clusters)
    if targets.shape != clusters.shape or targets.ndim != 1:
        raise ValueError(
            f"targets have shape {targets.shape} and clusters {clusters.shape}; both "
            "must be [images]"
        )
    if not len(targets):
        raise ValueError("clusters of 0 images have no scores")
    wrong = targets[(targets < 0) | (targets >= classes)]
    if len(wrong):
        raise ValueError(f"targets has {wrong[0]}; classes are 0 to {classes - 1}")
    if clusters.min() < 0:
        raise ValueError(f"clusters has {clusters.min()}; they count from 0")
    return targets, clusters
