"""Scores of clusters against all matchings, scikit-learn, and by hand."""

import itertools

import numpy as np
import pytest
from sklearn import metrics

from ltjax.evaluation import clusters

RNG = np.random.default_rng(0)
TARGETS = RNG.choice(4, 60, p=[0.6, 0.2, 0.15, 0.05])
FOUND = np.where(RNG.random(60) < 0.6, (TARGETS + 1) % 4, RNG.integers(0, 4, 60))


def test_the_match_is_the_best_of_all():
    best = max(
        itertools.permutations(range(4)),
        key=lambda order: (np.array(order)[FOUND] == TARGETS).sum(),
    )
    matched = clusters.match(TARGETS, FOUND, 4)
    right = (matched[FOUND] == TARGETS).sum()
    assert right == (np.array(best)[FOUND] == TARGETS).sum()
    assert sorted(matched) == [0, 1, 2, 3]


def test_scores_are_those_of_scikit_learn():
    predicted = clusters.match(TARGETS, FOUND, 4)[FOUND]
    wanted = {
        "balanced_accuracy": metrics.balanced_accuracy_score(TARGETS, predicted),
        "accuracy": metrics.accuracy_score(TARGETS, predicted),
        "nmi": metrics.normalized_mutual_info_score(TARGETS, FOUND),
        "ari": metrics.adjusted_rand_score(TARGETS, FOUND),
        "f1": metrics.f1_score(TARGETS, predicted, average="macro"),
    }
    found = clusters.scores(TARGETS, FOUND, 4)
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-12)


def test_names_of_clusters_do_not_matter_and_right_is_one():
    renamed = clusters.scores(TARGETS, (FOUND + 2) % 4, 4)
    for name, value in clusters.scores(TARGETS, FOUND, 4).items():
        np.testing.assert_allclose(renamed[name], value)
    assert set(clusters.scores(TARGETS, 3 - TARGETS, 4).values()) == {1.0}


def test_more_clusters_than_classes_and_classes_without_images():
    targets, found = np.array([0, 0, 0, 0, 1, 1]), np.array([0, 0, 1, 2, 4, 4])
    assert list(clusters.match(targets, found, 2)) == [0, -1, -1, -1, 1]
    scores = clusters.scores(targets, found, 2)
    assert (scores["accuracy"], scores["balanced_accuracy"]) == (4 / 6, 0.75)
    np.testing.assert_allclose(scores["f1"], (2 * 2 / (4 + 2) + 1) / 2)
    # Of five classes, three of which have no images.
    assert clusters.scores(targets, found, 5)["balanced_accuracy"] == 0.75
    recalls = clusters.recall(targets, targets, 3)
    np.testing.assert_array_equal(recalls, [1, 1, np.nan])


@pytest.mark.parametrize(
    ("targets", "found", "told"),
    [
        ([], [], "clusters of 0 images"),
        ([0, 1], [0], "targets have shape .2,. and clusters .1,."),
        ([0, 2], [0, 1], "targets has 2; classes are 0 to 1"),
        ([0, 1], [0, -1], "clusters has -1"),
    ],
)
def test_bad_input_is_told(targets, found, told):
    with pytest.raises(ValueError, match=told):
        clusters.scores(np.array(targets, int), np.array(found, int), 2)
