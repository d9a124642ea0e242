"""Heads against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ltjax.models.heads import Cosine, Linear, per_expert

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
    cosine = Cosine(3).init(jax.random.key(0), FEATURES)["params"]
    assert jax.tree.map(jnp.shape, cosine) == {"kernel": (5, 3)}
    np.testing.assert_allclose(np.linalg.norm(cosine["kernel"], axis=0), 1, rtol=1e-6)


def test_cosine_is_the_scaled_cosine():
    features, kernel = np.float64(FEATURES), np.float64(KERNEL)
    lengths = np.linalg.norm(features, axis=1)[:, None] * np.linalg.norm(kernel, axis=0)
    expected = 20 * features @ kernel / lengths
    np.testing.assert_allclose(cosine(FEATURES, KERNEL, 20.0), expected, rtol=1e-5)


def test_a_squashed_cosine_counts_lengths_below_one():
    features, kernel = np.float64(FEATURES), np.float64(KERNEL)
    length = np.linalg.norm(features, axis=1)[:, None]
    columns = kernel / np.linalg.norm(kernel, axis=0)
    wanted = 16 * length / (1 + length) * (features / length) @ columns
    head = Cosine(3, squashed=True)
    found = head.apply({"params": {"kernel": KERNEL}}, FEATURES)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
    assert np.abs(head.init(jax.random.key(0), FEATURES)["params"]["kernel"]).max() < (
        1 / np.sqrt(5)
    )


@pytest.mark.parametrize("squashed", [False, True])
def test_a_learnt_scale_is_a_square(squashed):
    head = Cosine(3, 25.0, squashed, learnt=True)
    variables = head.init(jax.random.key(0), FEATURES)
    np.testing.assert_allclose(variables["params"]["scale"], [5])
    kernel = variables["params"]["kernel"]
    of_four = {"params": {"kernel": kernel, "scale": np.float32([2])}}
    fixed = Cosine(3, 4.0, squashed).apply({"params": {"kernel": kernel}}, FEATURES)
    np.testing.assert_allclose(head.apply(of_four, FEATURES), fixed, rtol=1e-5)
    for params in (variables["params"], of_four["params"]):
        linear, inputs = head.linear(params), head.inputs(FEATURES)
        np.testing.assert_allclose(
            inputs @ linear["kernel"],
            head.apply({"params": params}, FEATURES),
            rtol=1e-4,
            atol=1e-5,
        )


def test_a_squashed_cosine_of_zero_is_zero_with_a_finite_gradient():
    features = FEATURES.copy()
    features[2] = 0
    head = Cosine(3, squashed=True)

    def loss(features, kernel):
        return head.apply({"params": {"kernel": kernel}}, features)

    logits, pull = jax.vjp(loss, features, KERNEL)
    grads = pull(jnp.ones_like(logits))
    np.testing.assert_array_equal(logits[2], 0)
    assert all(np.isfinite(grad).all() for grad in grads)
    columns = KERNEL / np.linalg.norm(KERNEL, axis=0)
    np.testing.assert_allclose(grads[0][2], 16 * columns.sum(1), rtol=1e-5)


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


def test_cosine_of_the_released_example():
    i, j = np.mgrid[:4, :3]
    b, k = np.mgrid[:2, :4]
    kernel, features = np.sin(1 + i + 2 * j), np.cos(0.5 + b + 0.3 * k)
    wanted = [[22.026866, -17.263935, -9.027593], [7.555974, 22.433432, -22.275342]]
    found = cosine(np.float32(features), np.float32(kernel), 30.0)
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


@pytest.mark.parametrize("kind", [Linear, Cosine])
def test_a_head_per_expert(kind):
    features = RNG.normal(size=(2, 7, 3, 5)).astype(np.float32)  # with a leading axis
    head = per_expert(kind)(4)
    variables = head.init(jax.random.key(0), features)
    assert variables["params"]["kernel"].shape == (3, 5, 4)
    logits = head.apply(variables, features)
    assert logits.shape == (2, 7, 3, 4)
    for i in range(3):
        own = jax.tree.map(lambda leaf, i=i: leaf[i], variables)
        wanted = kind(4).apply(own, features[:, :, i])
        np.testing.assert_allclose(logits[:, :, i], wanted, rtol=1e-5, atol=1e-6)


def test_heads_take_leading_axes():
    members = np.stack([FEATURES, 2 * FEATURES])
    linear = Linear(3).init(jax.random.key(0), FEATURES)
    assert Linear(3).apply(linear, members).shape == (2, 7, 3)
    assert cosine(members, KERNEL).shape == (2, 7, 3)


def test_a_cosine_head_is_a_linear_one_of_features_of_one_length():
    features = 1e3 * FEATURES
    features[2] = 0
    head = Cosine(3, 20.0)
    params = head.linear({"kernel": KERNEL})
    inputs = head.inputs(features)
    np.testing.assert_allclose(np.square(inputs).mean(1)[:2], 1, rtol=1e-5)
    np.testing.assert_array_equal(params["bias"], 0)
    found = inputs @ params["kernel"] + params["bias"][None]
    # A logit is a sum of five products of up to 20.
    np.testing.assert_allclose(found, cosine(features, KERNEL, 20.0), atol=1e-5)


@pytest.mark.parametrize("more", [(), (True, True)])
def test_so_is_one_for_each_expert(more):
    features = RNG.normal(size=(7, 2, 5)).astype(np.float32)
    head = per_expert(Cosine)(3, 20.0, *more)
    variables = head.init(jax.random.key(0), features)
    params, inputs = head.linear(variables["params"]), head.inputs(features)
    assert jax.tree.map(jnp.shape, params) == {"kernel": (2, 5, 3), "bias": (2, 3)}
    found = np.einsum("bed,edc->bec", inputs, params["kernel"])
    np.testing.assert_allclose(found, head.apply(variables, features), atol=1e-5)


def test_a_linear_head_is_itself():
    head, params = Linear(3), {"kernel": KERNEL, "bias": np.zeros(3)}
    assert head.linear(params) is params
    assert head.inputs(FEATURES) is FEATURES
