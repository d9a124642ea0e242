import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ltjax.posterior import dispersion


def reference(features):
    features = np.asarray(features, np.float64)
    return ((features - features.mean(0)) ** 2).sum(-1).mean(0)


@pytest.fixture
def features():
    rng = np.random.default_rng(0)
    spread = np.array([0.01, 1, 5, 0.3])[:, None]
    centre = rng.normal(size=(4, 6)) + 1
    noise = rng.normal(size=(7, 4, 6))
    return (centre + spread * noise).astype(np.float32)


def test_representation_matches_float64(features):
    found = dispersion.representation(features)
    assert found.shape == (4,)
    np.testing.assert_allclose(found, reference(features), rtol=2e-6)
    np.testing.assert_allclose(
        jax.jit(dispersion.representation)(features), found, rtol=1e-6
    )


def test_relative_is_divided_by_the_length_of_the_mean(features):
    mean = features.astype(np.float64).mean(0)
    expected = reference(features) / (mean**2).sum(-1)
    np.testing.assert_allclose(dispersion.relative(features), expected, rtol=5e-6)
    scaled = dispersion.relative(8 * features)
    np.testing.assert_allclose(scaled, dispersion.relative(features), rtol=1e-6)


def test_probability_of_two_certain_members():
    probs = jnp.array([[[1.0, 0.0, 0.0]] * 2, [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]])
    # Half of the squared distance 2 of two corners, times 1/2: each is 1/2 away.
    np.testing.assert_array_equal(dispersion.probability(probs), [0.5, 0.0])


def test_probability_matches_float64():
    probs = np.random.default_rng(0).dirichlet(np.ones(5), size=(6, 3))
    found = dispersion.probability(probs.astype(np.float32))
    np.testing.assert_allclose(found, reference(probs), rtol=2e-6)


def test_a_common_shift_changes_nothing(features):
    coarse = np.round(features * 64) / 64  # so that the shift itself is exact
    shifted = dispersion.representation(coarse + 4096)
    np.testing.assert_array_equal(shifted, dispersion.representation(coarse))
    # The mean of squares less the square of the mean has no correct digit left here.
    squares = (np.square(coarse + np.float32(4096))).mean(0)
    wrong = (squares - np.square((coarse + np.float32(4096)).mean(0))).sum(-1)
    assert abs(wrong[0] - reference(coarse)[0]) > reference(coarse)[0]


@pytest.mark.parametrize("members", [1, 2, 3, 7, 10])
def test_identical_members_have_none(features, members):
    same = np.repeat(features[:1], members, axis=0)
    np.testing.assert_array_equal(dispersion.representation(same), 0)
    np.testing.assert_array_equal(dispersion.relative(same), 0)
    np.testing.assert_array_equal(dispersion.relative(0 * same), 0)


def test_order_of_members_does_not_matter(features):
    found = dispersion.representation(features[::-1])
    np.testing.assert_allclose(found, dispersion.representation(features), rtol=2e-6)


def test_low_precision_features_are_compared_in_float32(features):
    low = jnp.asarray(features, jnp.bfloat16)
    found = dispersion.representation(low)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, reference(low), rtol=2e-6)


def test_slopes_are_finite_also_where_members_agree(features):
    features[:, 1] = 0
    slope = jax.grad(lambda z: dispersion.relative(z).sum())(features)
    assert np.isfinite(slope).all()


def test_the_features_of_experts_are_one_vector(features):
    experts = features.reshape(*features.shape[:2], 2, 3)
    for spread in (dispersion.representation, dispersion.relative):
        np.testing.assert_array_equal(spread(experts), spread(features))
