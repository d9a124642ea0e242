import math

import chex
import jax
import numpy as np
import pytest

from ltjax import losses

COUNTS = np.array([5000, 700, 100, 12, 1])


def reference_class_balanced(counts, beta):
    """Effective numbers by their definition, the geometric series, in float64."""
    weights = np.array(
        [1 / math.fsum(beta**i for i in range(n)) if n else 0 for n in counts]
    )
    return len(counts) * weights / weights.sum()


def reference_generalized(counts, rho):
    counts = np.asarray(counts, np.float64)
    weights = np.where(counts > 0, np.maximum(counts, 1) ** -float(rho), 0)
    return len(counts) * weights / weights.sum()


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9, 0.99, 0.9999, 0.999999, 1.0])
@pytest.mark.parametrize("counts", [COUNTS, np.array([30, 0, 4, 0])])
def test_class_balanced_weights_match_the_series(counts, beta):
    np.testing.assert_allclose(
        losses.class_balanced_weights(counts, beta),
        reference_class_balanced(counts, beta),
        rtol=2e-6,
    )


def test_class_balanced_weights_at_the_limits():
    even = losses.class_balanced_weights(COUNTS, 0.0)
    np.testing.assert_allclose(even, np.ones(5), rtol=1e-6)
    inverse = losses.class_balanced_weights(COUNTS, 1.0)
    np.testing.assert_allclose(inverse, reference_generalized(COUNTS, 1), rtol=1e-6)


def test_class_balanced_weights_of_huge_counts():
    counts = np.array([10**12, 10**10, 10**6, 1])
    found = losses.class_balanced_weights(counts, 1 - 1e-9)
    effective = -np.expm1(counts * np.log1p(-1e-9)) / 1e-9
    expected = 4 / effective / (1 / effective).sum()
    np.testing.assert_allclose(found, expected, rtol=2e-6)


def test_class_balanced_weights_take_a_traced_beta():
    found = jax.jit(losses.class_balanced_weights)(COUNTS, 0.99)
    # float32 knows 1 - 0.99 to 3e-6.
    expected = reference_class_balanced(COUNTS, 0.99)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("beta", [-0.1, 1.1, float("nan")])
def test_beta_outside_its_range_is_refused(beta):
    with pytest.raises(ValueError, match=f"beta is {beta}"):
        losses.class_balanced_weights(COUNTS, beta)


@pytest.mark.parametrize("rho", [0.0, 0.5, 1.0, 1.2, 2.0])
@pytest.mark.parametrize("counts", [COUNTS, np.array([30, 0, 4, 0])])
def test_generalized_weights_match_numpy(counts, rho):
    # rho log(count) near 20 is rounded at 1e-6.
    np.testing.assert_allclose(
        losses.generalized_weights(counts, rho),
        reference_generalized(counts, rho),
        rtol=5e-6,
    )


def test_generalized_weights_of_huge_counts_and_powers_do_not_overflow():
    counts = np.array([10**12, 10**12, 10**3])
    found = losses.generalized_weights(counts, 20.0)
    np.testing.assert_allclose(found, [0, 0, 3], atol=1e-30)
    found = losses.generalized_weights(10**12 * np.array([1, 2, 4]), 1.0)
    np.testing.assert_allclose(found, np.array([4, 2, 1]) * 3 / 7, rtol=5e-6)


def test_generalized_weights_at_rho_zero_are_ones():
    found = losses.generalized_weights(COUNTS, 0.0)
    np.testing.assert_allclose(found, np.ones(5), rtol=1e-6)


WEIGHTS = [
    lambda counts: losses.class_balanced_weights(counts, 0.9999),
    lambda counts: losses.generalized_weights(counts, 1.2),
]


@pytest.mark.parametrize("weights", WEIGHTS, ids=["class_balanced", "generalized"])
class TestBoth:
    def test_equal_counts_give_ones(self, weights):
        np.testing.assert_allclose(weights(np.full(6, 40)), np.ones(6), rtol=1e-6)

    def test_sum_is_the_number_of_classes_and_absent_ones_weigh_nothing(self, weights):
        found = np.asarray(weights(np.array([900, 0, 20, 0, 3])))
        np.testing.assert_allclose(found.sum(), 5, rtol=1e-6)
        assert (found[[1, 3]] == 0).all()
        assert found[0] < found[2] < found[4]

    def test_permuting_the_classes_permutes_the_weights(self, weights):
        order = np.array([3, 0, 4, 1, 2])
        found = weights(COUNTS[order])
        np.testing.assert_allclose(found, weights(COUNTS)[order], rtol=1e-6)

    def test_jit_traces_once(self, weights):
        chex.clear_trace_counter()
        jitted = jax.jit(chex.assert_max_traces(weights, 1))
        jitted(COUNTS + 1)
        np.testing.assert_allclose(jitted(COUNTS), weights(COUNTS), rtol=1e-6)
