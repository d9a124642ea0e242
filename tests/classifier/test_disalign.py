import jax
import numpy as np
import pytest
from scipy.special import expit, log_softmax

from ltjax.classifier import disalign, linear

RNG = np.random.default_rng(1)
COUNTS = np.array([90, 8, 25, 4])
LABELS = np.array([0, 0, 2, 3, 0, 1])


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


HEAD = {"kernel": normal(5, 4), "bias": normal(4)}
PARAMS = {"alpha": normal(4), "beta": normal(4), "v": normal(5), "c": normal()}
FEATURES = normal(6, 5)


def reference():
    head, params = (jax.tree.map(np.float64, tree) for tree in (HEAD, PARAMS))
    z = FEATURES.astype(np.float64)
    s = z @ head["kernel"] + head["bias"]
    sigma = expit(z @ params["v"] + params["c"])[:, None]
    return sigma * (params["alpha"] * s + params["beta"]) + (1 - sigma) * s


def test_logits_match_numpy():
    found = jax.jit(disalign.logits)(PARAMS, FEATURES, HEAD)
    np.testing.assert_allclose(found, reference(), rtol=1e-5, atol=1e-6)


def test_alpha_one_and_beta_zero_is_stage_one_whatever_the_blend():
    params = {**disalign.init(5, 4), "v": PARAMS["v"], "c": PARAMS["c"]}
    plain = linear.logits(HEAD, FEATURES)
    # sigma s + (1 - sigma) s rounds twice
    found = disalign.logits(params, FEATURES, HEAD)
    np.testing.assert_allclose(found, plain, rtol=1e-6)
    start = disalign.logits(disalign.init(5, 4), FEATURES, HEAD)
    np.testing.assert_allclose(start, plain, rtol=1e-6)


@pytest.mark.parametrize("rho", [0.0, 1.0, 1.2])
def test_the_mean_over_the_batch_is_the_weighted_mean(rho):
    losses = -log_softmax(reference(), -1)[np.arange(6), LABELS]
    weights = (COUNTS.sum() / COUNTS)[LABELS] ** rho
    found = disalign.loss(PARAMS, FEATURES, LABELS, HEAD, COUNTS, rho)
    assert found.shape == LABELS.shape
    wanted = weights * losses * 6 / weights.sum()
    np.testing.assert_allclose(found, wanted, rtol=2e-5)
    mean = np.average(losses, weights=weights)
    np.testing.assert_allclose(found.mean(), mean, rtol=2e-5)


def test_training_can_leave_the_start():
    slopes = jax.jit(
        jax.grad(
            lambda params: disalign.loss(params, FEATURES, LABELS, HEAD, COUNTS).mean()
        )
    )
    params = disalign.init(5, 4)
    gradient = slopes(params)
    # The blend matters only once the aligned logits differ from the raw ones.
    assert np.any(gradient["alpha"])
    assert np.any(gradient["beta"])
    params = jax.tree.map(lambda p, g: p - 0.1 * g, params, gradient)
    gradient = slopes(params)
    assert all(np.any(leaf) for leaf in jax.tree.leaves(gradient))
