import numpy as np
import pytest
from scipy import stats

from ltjax.evaluation import ece
from ltjax.evaluation.calibration import confidence_bin
from ltjax.evaluation.reliability import difference, reliability


def draw(count, classes=4, seed=0):
    """Probabilities with all kinds of confidence, edges among them, and labels."""
    rng = np.random.default_rng(seed)
    probs = rng.dirichlet(np.full(classes, 0.5), count).astype(np.float32)
    probs[:3] = np.eye(classes)[0], np.full(classes, 1 / classes), [0.6, 0.4, 0, 0]
    return probs, rng.integers(0, classes, count)


@pytest.mark.parametrize("bins", [1, 10, 15])
def test_bins_are_those_of_a_loop(bins):
    probs, labels = draw(300)
    confidence, right = probs.max(-1), probs.argmax(-1) == labels
    found = reliability(confidence, right, bins)
    wanted = np.zeros((3, bins))
    for sure, hit in zip(confidence, right):
        edges = [np.float32(at / bins) for at in range(1, bins + 1)]
        place = next((at for at, edge in enumerate(edges) if sure <= edge), bins - 1)
        wanted[:, place] += 1, hit, sure
    np.testing.assert_allclose(found, wanted, rtol=1e-12)
    place = np.asarray(confidence_bin(confidence, bins))
    np.testing.assert_array_equal(found.count, np.bincount(place, minlength=bins))


def test_the_gaps_of_bins_are_the_ece():
    probs, labels = draw(500, seed=1)
    found = reliability(probs.max(-1), probs.argmax(-1) == labels)
    gaps = np.abs(found.right - found.confidence).sum() / 500
    np.testing.assert_allclose(gaps, ece(probs, labels), rtol=1e-5)  # float32 there


def test_bins_add_and_empty_ones_have_no_accuracy():
    probs, labels = draw(90, seed=2)
    confidence, right = probs.max(-1), probs.argmax(-1) == labels
    halves = [reliability(confidence[i::2], right[i::2]) for i in (0, 1)]
    whole = reliability(confidence, right)
    np.testing.assert_allclose(np.add(*halves), whole, rtol=1e-12)
    empty = whole.count == 0
    assert empty.any()
    for figures in (whole.accuracy, whole.mean_confidence, *whole.interval):
        np.testing.assert_array_equal(np.isnan(figures), empty)


def test_intervals_are_wilsons():
    confidence = np.repeat([0.1, 0.5, 0.9], (1, 20, 300))
    right = np.arange(321) % 3 > 0
    found = reliability(confidence, right, 3)
    for at in range(3):
        test = stats.binomtest(int(found.right[at]), int(found.count[at]))
        wanted = test.proportion_ci(0.95, method="wilson")
        np.testing.assert_allclose(found.interval[:, at], wanted, atol=1e-12)


def test_a_difference_has_the_error_of_a_paired_test():
    rng = np.random.default_rng(3)
    right, other = rng.random((2, 400)) < [[0.7], [0.6]]
    gap, error = difference(right, other)
    wanted = stats.ttest_rel(right.astype(float), other.astype(float))
    assert gap == pytest.approx(right.mean() - other.mean(), rel=1e-12)
    assert gap / error == pytest.approx(wanted.statistic, rel=1e-9)
    assert difference(right, right) == (0, 0)
    assert difference(right[:1], ~right[:1])[1] == 0
