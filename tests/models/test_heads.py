"""Heads against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np

from ltjax.models.heads import Cosine, Linear

RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(7, 5)).astype(np.float32)
KERNEL = RNG.normal(size=(5, 3)).astype(np.float32)


def cosine(features, kernel, scale=16.0):
    return Cosine(3, scale).apply({"params": {"kernel": kernel}}, features)


def test_linear_is_a_product_and_a_sum():
    bias = RNG.normal(size=3).astype(np.float32)
    logits = Linear(3).apply({"params": {"kernel": KERNEL, "bias": bias}}, FEATURES)
    expected = np.float64(FEATURES) @ KERNEL + bias
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-6)


def test_shapes_of_the_parameters():
    assert jax.tree.map(
        jnp.shape, Linear(3).init(jax.random.key(0), FEATURES)["params"]
    ) == {"kernel": (5, 3), "bias": (3,)}
    assert jax.tree.map(
        jnp.shape, Cosine(3).init(jax.random.key(0), FEATURES)["params"]
    ) == {"kernel": (5, 3)}


def test_cosine_is_the_scaled_cosine():
    features, kernel = np.float64(FEATURES), np.float64(KERNEL)
    lengths = np.linalg.norm(features, axis=1)[:, None] * np.linalg.norm(kernel, axis=0)
    expected = 20 * features @ kernel / lengths
    np.testing.assert_allclose(cosine(FEATURES, KERNEL, 20.0), expected, rtol=1e-5)


def test_cosine_ignores_lengths():
    lengths = RNG.uniform(0.01, 100, 7).astype(np.float32)[:, None]
    widths = RNG.uniform(0.01, 100, 3).astype(np.float32)[None]
    scaled = cosine(FEATURES * lengths, KERNEL * widths)
    np.testing.assert_allclose(scaled, cosine(FEATURES, KERNEL), rtol=1e-4, atol=1e-5)


def test_cosine_of_and_with_itself():
    logits = cosine(KERNEL.T, KERNEL, 2.0)
    np.testing.assert_allclose(np.diag(logits), 2.0, rtol=1e-6)
    assert np.abs(logits).max() <= 2.0 + 1e-6


def test_cosine_of_zero_is_zero_with_zero_gradient():
    features = FEATURES.copy()
    features[2] = 0
    logits, pull = jax.vjp(cosine, features, KERNEL)
    grads = pull(jnp.ones_like(logits))
    np.testing.assert_array_equal(logits[2], 0)
    np.testing.assert_array_equal(grads[0][2], 0)
    assert all(np.isfinite(grad).all() for grad in grads)
    assert np.abs(grads[0][1]).max() > 0


def test_heads_take_leading_axes():
    members = np.stack([FEATURES, 2 * FEATURES])
    linear = Linear(3).init(jax.random.key(0), FEATURES)
    assert Linear(3).apply(linear, members).shape == (2, 7, 3)
    assert cosine(members, KERNEL).shape == (2, 7, 3)
