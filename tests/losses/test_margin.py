import jax
import numpy as np
import pytest

from ltjax import losses
from ltjax.losses.margin import margins

COUNTS = np.array([500, 120, 31, 7, 1])


def draw():
    rng = np.random.default_rng(0)
    return rng.uniform(-1, 1, size=(8, 5)), rng.integers(0, 5, size=8)


def reference_cross_entropy(logits, labels):
    log_total = np.log(np.exp(logits).sum(-1))
    return log_total - logits[np.arange(len(labels)), labels]


def test_margins_match_numpy():
    expected = COUNTS**-0.25
    expected *= 0.3 / expected.max()
    np.testing.assert_allclose(margins(COUNTS, 0.3), expected, rtol=1e-6)


def test_margins_of_huge_counts():
    counts = np.array([10**12, 10**8])
    np.testing.assert_allclose(margins(counts), [0.05, 0.5], rtol=1e-6)


def test_an_absent_class_has_the_smallest_class_margin():
    found = margins(np.array([160, 0, 10]))
    np.testing.assert_allclose(found, [0.25, 0.5, 0.5], rtol=1e-6)


@pytest.mark.parametrize(("max_margin", "scale"), [(0.5, 30.0), (0.2, 10.0)])
def test_ldam_matches_numpy(max_margin, scale):
    cosines, labels = draw()
    delta = COUNTS**-0.25
    delta *= max_margin / delta.max()
    shifted = cosines.copy()
    shifted[np.arange(8), labels] -= delta[labels]
    np.testing.assert_allclose(
        losses.ldam(cosines, labels, COUNTS, max_margin, scale),
        reference_cross_entropy(scale * shifted, labels),
        rtol=1e-5,
        atol=1e-5,
    )


def test_ldam_defaults_are_the_papers():
    cosines, labels = draw()
    np.testing.assert_array_equal(
        losses.ldam(cosines, labels, COUNTS),
        losses.ldam(cosines, labels, COUNTS, max_margin=0.5, scale=30.0),
    )


def test_equal_counts_give_a_uniform_margin():
    cosines, labels = draw()
    shifted = cosines - 0.5 * np.eye(5)[labels]
    np.testing.assert_allclose(
        losses.ldam(cosines, labels, np.full(5, 9)),
        losses.cross_entropy(30 * shifted, labels),
        rtol=1e-5,
        atol=1e-5,
    )


def test_no_margin_gives_cross_entropy():
    cosines, labels = draw()
    np.testing.assert_array_equal(
        losses.ldam(cosines, labels, COUNTS, max_margin=0.0),
        losses.cross_entropy(30 * cosines.astype(np.float32), labels),
    )


def test_gradient_matches_softmax_minus_label():
    cosines, labels = draw()
    gradient = jax.grad(lambda x: losses.ldam(x, labels, COUNTS).sum())(cosines)
    delta = 0.5 * COUNTS**-0.25
    one_hot = np.eye(5)[labels]
    shifted = np.exp(30 * (cosines - one_hot * delta))
    probs = shifted / shifted.sum(-1, keepdims=True)
    np.testing.assert_allclose(gradient, 30 * (probs - one_hot), atol=1e-4)
