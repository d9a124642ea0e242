"""Conformal thresholds against sorted lists, and coverage by simulation."""

import math

import numpy as np
import pytest

from ltjax.evaluation import conformal

GROUPS = {
    "many": np.array([1, 1, 0, 0, 0], bool),
    "few": np.array([0, 0, 1, 1, 1], bool),
}


def drawn(seed, labels, classes=5, sharpness=1.5):
    """Log probabilities of a classifier that is often wrong, and its labels."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(len(labels), classes))
    logits[np.arange(len(labels)), labels] += sharpness
    return logits - np.log(np.exp(logits).sum(1, keepdims=True))


@pytest.mark.parametrize(
    ("coverage", "images"),
    [(0.5, 1), (0.8, 4), (0.9, 9), (0.95, 19), (0.99, 99), (0.999, 999), (0.7, 3)],
)
def test_how_many_images_a_coverage_needs(coverage, images):
    assert conformal.needed(coverage) == images
    scores = np.random.default_rng(0).permutation(images) * 1.0
    assert math.isfinite(conformal.threshold(scores, coverage))
    assert conformal.threshold(scores[1:], coverage) == math.inf


def test_the_threshold_is_an_order_statistic():
    scores = np.random.default_rng(0).permutation(np.arange(1.0, 20.0))
    # ceil(20 * 0.9) = 18; in binary 20 * 0.9 is 18.0, and 10 * (1 - 0.9) is below 1.
    assert conformal.threshold(scores, 0.9) == 18
    assert conformal.threshold(scores, 0.91) == 19
    assert conformal.threshold(scores, 0.95) == 19
    assert conformal.threshold(scores, 0.951) == math.inf
    assert conformal.threshold(scores, 0.05) == 1
    assert conformal.threshold([], 0.5) == math.inf


@pytest.mark.parametrize("coverage", [0, 1, -0.1, 90, math.nan])
def test_no_other_coverage(coverage):
    with pytest.raises(ValueError, match="between 0 and 1"):
        conformal.threshold([1.0], coverage)


def test_where_each_class_has_its_threshold_from():
    # 9 images are needed: classes 0 and 2 have them, 3 and 4 have them together, and
    # class 1 is the only one of its group that is left.
    labels = np.repeat(np.arange(5), [20, 5, 9, 4, 5])
    log_probs = drawn(0, labels)
    found = conformal.thresholds(log_probs, labels, GROUPS, 0.9)
    assert found.pool == ("class", "all", "class", "few", "few")
    scores = -log_probs[np.arange(43), labels]

    def of(*classes):
        own = sorted(scores[np.isin(labels, classes)])
        return own[math.ceil((len(own) + 1) * 9 / 10) - 1]

    # Equal numbers, sorted otherwise.
    wanted = [of(0), of(0, 1, 2, 3, 4), of(2), of(3, 4), of(3, 4)]
    np.testing.assert_array_equal(found.score, wanted)


def test_too_few_images_of_all_are_no_threshold():
    labels = np.arange(5)
    found = conformal.thresholds(drawn(0, labels), labels, GROUPS, 0.9)
    assert found.pool == ("all",) * 5
    assert np.isinf(found.score).all()
    assert conformal.sets(drawn(1, labels), found.score).all()


def test_a_set_holds_what_is_probable_enough_and_always_the_first():
    probs = np.array([[0.7, 0.2, 0.1], [0.4, 0.35, 0.25], [0.34, 0.33, 0.33]])
    score = -np.log([0.6, 0.3, 0.1])
    # Class 0 is in the last two because it is the most probable.
    wanted = [[1, 0, 1], [1, 1, 1], [1, 1, 1]]
    # A hair more, as the first image has exactly 0.1.
    np.testing.assert_array_equal(
        conformal.sets(np.log(probs) + 1e-12, score), np.array(wanted, bool)
    )
    only = conformal.sets(np.log(probs), np.full(3, -np.inf))
    np.testing.assert_array_equal(only, np.eye(3, dtype=bool)[[0, 0, 0]])
    np.testing.assert_array_equal(conformal.covered(only, [0, 1, 0]), [1, 0, 1])


def test_least_ambiguous_sets_are_those_of_one_minus_p():
    """The same sets from the score as it is published."""
    labels = np.random.default_rng(3).integers(0, 5, 60)
    log_probs, new = drawn(3, labels), drawn(4, labels)
    one_minus = np.sort(1 - np.exp(log_probs)[np.arange(60), labels])
    limit = one_minus[math.ceil(61 * 0.6) - 1]
    score = conformal.threshold(-log_probs[np.arange(60), labels], 0.6)
    inside = 1 - np.exp(new) <= limit
    inside[np.arange(60), new.argmax(1)] = True
    np.testing.assert_array_equal(conformal.sets(new, np.full(5, score)), inside)


@pytest.mark.parametrize("coverage", [0.8, 0.9])
def test_the_coverage_is_what_was_asked_for(coverage):
    """Of a class with n images: in [coverage, coverage + 1 / (n + 1))."""
    counts = np.array([40, 30, 12, 5, 7])
    labels, tested = np.repeat(np.arange(5), counts), np.repeat(np.arange(5), 100)
    trials, rates = 400, []
    for seed in range(trials):
        log_probs = drawn((seed, 0), labels)
        found = conformal.thresholds(log_probs, labels, GROUPS, coverage)
        # The label that is added, so that no set is empty, is not part of the law.
        inside = -drawn((seed, 1), tested) <= found.score[None]
        rates.append(conformal.covered(inside, tested).reshape(5, 100).mean(1))
    assert found.pool == ("class",) * 3 + (
        ("few",) * 2 if coverage == 0.9 else ("class",) * 2
    )
    mean, error = np.mean(rates, 0), np.std(rates, 0) / np.sqrt(trials)
    pooled = counts if coverage == 0.8 else np.array([40, 30, 12, 12, 12])
    # Four standard errors of the simulation, about 0.01 in all but the smallest.
    assert (mean > coverage - 4 * error).all()
    assert (mean < coverage + 1 / (pooled + 1) + 4 * error).all()
    assert error.max() < 0.01


def test_other_shares_of_the_classes_change_nothing_of_a_class():
    """Which a threshold for all of them would not survive."""
    rng, rates, whole = np.random.default_rng(0), [], []
    groups = {"all of them": np.ones(2, bool)}
    for _ in range(200):
        # The second class is hard; calibration has few of it, deployment many.
        labels = np.repeat([0, 1], [180, 20])
        tested = np.repeat([0, 1], [20, 180])
        log_probs, new = (
            drawn(rng.integers(2**31), y, 2, np.where(y, -0.5, 3.0))
            for y in (labels, tested)
        )
        found = conformal.thresholds(log_probs, labels, groups, 0.9)
        rates.append((-new <= found.score[None])[np.arange(200), tested].mean())
        one = conformal.threshold(-log_probs[np.arange(200), labels], 0.9)
        whole.append((-new <= one)[np.arange(200), tested].mean())
    assert np.mean(rates) > 0.9 - 0.01  # the simulation's standard error is 0.004
    assert np.mean(whole) < 0.7


def test_measured_on_the_other_half():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, 2000)
    log_probs = drawn(0, labels)
    found = conformal.split_coverage(log_probs, labels, GROUPS, 0.9)
    assert found["asked"] == 0.9
    assert (found["calibration"], found["splits"]) == (1000, 20)
    for name in ("all", "many", "few"):
        # 20 halves of the same 2,000 images: their standard error is about 0.007.
        assert found["groups"][name]["coverage"] == pytest.approx(0.9, abs=0.025)
        assert 1 < found["groups"][name]["size"] < 5
    again = conformal.split_coverage(log_probs, labels, GROUPS, 0.9)
    assert again == found
    other = conformal.split_coverage(log_probs, labels, GROUPS, 0.9, seed=1)
    assert other != found
    sharper = conformal.split_coverage(drawn(0, labels, 5, 4.0), labels, GROUPS, 0.9)
    assert sharper["groups"]["all"]["size"] < found["groups"]["all"]["size"]


def test_a_group_without_images_is_none():
    labels = np.repeat([0, 1], 30)
    found = conformal.split_coverage(drawn(0, labels), labels, GROUPS, 0.8, splits=2)
    assert found["groups"]["few"] is None
    assert found["groups"]["many"] == found["groups"]["all"]


def test_shapes_are_checked():
    with pytest.raises(ValueError, match=r"should be \[N, C\] and \[N\]"):
        conformal.thresholds(np.zeros((3, 2)), np.zeros(2, int), {}, 0.5)


@pytest.mark.parametrize(
    ("shape", "measurable"),
    [((18, 3), True), ((17, 3), False), ((10**6, 100), True), ((10**6, 101), False)],
)
def test_what_can_be_measured_at_all(shape, measurable):
    assert conformal.measurable(shape, 0.9) == measurable
