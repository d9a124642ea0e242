import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from ltjax.evaluation import confusion

GROUPS = {
    "many": np.array([True, True, False, False, False]),
    "medium": np.array([False, False, True, False, False]),
    "few": np.array([False, False, False, True, True]),
}


def draw(count=200, classes=5, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, count)
    other = rng.integers(0, classes, count)
    return labels, np.where(rng.random(count) < 0.5, labels, other)


def test_shares_between_groups_are_those_of_the_confusion_matrix():
    labels, predicted = draw()
    matrix = confusion_matrix(labels, predicted)
    right = np.diag(np.diag(matrix))
    found = confusion.between(labels, predicted, GROUPS)
    for name, own in GROUPS.items():
        total = matrix[own].sum()
        assert found[name]["right"] == pytest.approx(right[own].sum() / total)
        for other, there in GROUPS.items():
            wrong = (matrix - right)[np.ix_(own, there)].sum() / total
            assert found[name][other] == pytest.approx(wrong)
        assert sum(found[name].values()) == pytest.approx(1)


def test_a_group_without_images_is_left_out():
    labels = np.array([0, 1, 3])
    found = confusion.between(labels, labels, GROUPS)
    assert found.keys() == {"many", "few"}
    assert found["few"] == {"right": 1, "many": 0, "medium": 0, "few": 0}


def test_pairs_are_the_largest_entries_off_the_diagonal():
    labels, predicted = draw(seed=1)
    matrix = confusion_matrix(labels, predicted)
    off = matrix - np.diag(np.diag(matrix))
    wanted = sorted((-off[a, b], a, b) for a in range(5) for b in range(5) if off[a, b])
    found = confusion.pairs(labels, predicted, 7)
    assert [(a, b, n) for a, b, n, _ in found] == [(a, b, -n) for n, a, b in wanted[:7]]
    for label, _, count, share in found:
        assert share == pytest.approx(count / matrix[label].sum())
    assert len(confusion.pairs(labels, predicted, 100)) == len(wanted)


def test_without_mistakes_there_are_no_pairs():
    labels = np.arange(5)
    assert confusion.pairs(labels, labels, 3) == []
