"""Refusing by a score, beside plain counting, and scikit-learn."""

import itertools

import numpy as np
import pytest
from sklearn import metrics

from ltjax.evaluation import refusal


def drawn(count=60, values=None, seed=0):
    rng = np.random.default_rng(seed)
    score = rng.random(count) if values is None else rng.integers(0, values, count)
    return score, rng.random(count) < 0.7


def test_risks_are_counted():
    score, right = drawn()
    order = np.argsort(-score)
    wanted = [1 - right[order[:k]].mean() for k in range(1, 61)]
    np.testing.assert_allclose(refusal.risks(score, right), wanted, atol=1e-12)
    assert refusal.aurc(score, right) == pytest.approx(np.mean(wanted), abs=1e-12)


def test_equal_scores_are_refused_in_the_mean_over_all_orders():
    score, right = [2, 1, 1, 1, 0], np.array([1, 0, 1, 0, 1], bool)
    every = []
    for middle in itertools.permutations((1, 2, 3)):
        order = [0, *middle, 4]
        every.append(np.cumsum(~right[order]) / np.arange(1, 6))
    np.testing.assert_allclose(refusal.risks(score, right), np.mean(every, 0))


@pytest.mark.parametrize("values", [None, 4])
def test_nothing_depends_on_the_order_of_the_images(values):
    score, right = drawn(values=values)
    labels, groups = np.arange(60) % 3, {"few": np.array([True, False, False])}
    found = refusal.figures(score, right, labels, groups)
    at = np.random.default_rng(1).permutation(60)
    moved = refusal.figures(score[at], right[at], labels[at], groups)
    for name in ("all", "few"):
        assert moved["aurc"][name] == pytest.approx(found["aurc"][name], abs=1e-12)
        assert moved["at"]["90"][name] == pytest.approx(found["at"]["90"][name])


def test_who_knows_what_is_wrong_refuses_it_first():
    _, right = drawn()
    wrong = int((~right).sum())
    best, worst = (refusal.risks(sign * right, right) for sign in (1, -1))
    np.testing.assert_array_equal(best[: 60 - wrong], 0)
    np.testing.assert_array_equal(worst[:wrong], 1)
    assert best[-1] == worst[-1] == pytest.approx(wrong / 60)
    assert refusal.aurc(right, right) < refusal.aurc(drawn()[0], right)
    # Who knows nothing refuses by chance: the same risk at every coverage.
    np.testing.assert_allclose(refusal.risks(np.ones(60), right), wrong / 60)


@pytest.mark.parametrize("coverage", [0.01, 0.5, 0.8, 0.95, 1.0])
@pytest.mark.parametrize("values", [None, 3])
def test_as_many_are_kept_as_were_asked_for(coverage, values):
    score, _ = drawn(values=values)
    weight = refusal.kept(score, coverage)
    assert weight.sum() == pytest.approx(np.ceil(coverage * 60))
    assert weight.min() >= 0
    assert weight.max() <= 1
    # No image is kept in part or left out while a less sure one is kept.
    assert weight[score == score.max()].min() > 0
    assert (weight[:, None] >= weight)[score[:, None] > score].all()


def test_a_tenth_that_binary_does_not_have_keeps_no_image_too_many():
    assert refusal.kept(np.arange(10.0), 0.9).sum() == 9
    assert refusal.kept(np.arange(20.0), 0.95).sum() == 19


def test_groups_are_told_of_the_images_that_all_together_keep():
    score = np.array([0.9, 0.8, 0.7, 0.6, 0.5])
    right = np.array([True, True, False, True, False])
    labels = np.array([0, 0, 1, 0, 1])
    groups = {"many": np.array([True, False]), "few": np.array([False, True])}
    groups["none"] = np.zeros(2, bool)
    found = refusal.figures(score, right, labels, groups)
    kept = found["at"]["80"]
    assert kept["all"] == {"acc": 75.0, "kept": 80.0}
    assert kept["many"] == {"acc": 100.0, "kept": 100.0}
    assert kept["few"] == {"acc": 0.0, "kept": 50.0}
    assert kept["none"] is found["aurc"]["none"] is None
    assert found["aurc"]["few"] == 1.0


@pytest.mark.parametrize("values", [None, 5])
def test_auroc_is_that_of_scikit_learn(values):
    score, right = drawn(200, values)
    wanted = metrics.roc_auc_score(right, score)
    assert refusal.auroc(score, right) == pytest.approx(wanted, abs=1e-12)
    assert refusal.auroc(-score, right) == pytest.approx(1 - wanted, abs=1e-12)
    assert refusal.auroc(score, np.ones(200)) is None


@pytest.mark.parametrize("values", [None, 5])
def test_false_positives_are_those_of_the_curve_of_scikit_learn(values):
    score, right = drawn(200, values)
    wrong, found, _ = metrics.roc_curve(right, score, drop_intermediate=False)
    wanted = wrong[found >= 0.95 - 1e-12].min()
    assert refusal.false_positives(score, right) == pytest.approx(wanted, abs=1e-12)
    assert refusal.false_positives(score, np.zeros(200)) is None


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="coverage is 0"):
        refusal.kept([1.0], 0)
    with pytest.raises(ValueError, match=r"score is \(2,\) and right \(1,\)"):
        refusal.risks([1.0, 2.0], [True])
