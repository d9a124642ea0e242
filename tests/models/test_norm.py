"""Batch normalisation against Flax's, against float64, and over two devices."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from ltjax.models.batch_norm import BatchNorm, moments

RNG = np.random.default_rng(0)
X = RNG.normal(3.0, 2.0, (8, 3, 3, 5)).astype(np.float32)
DY = RNG.normal(size=X.shape).astype(np.float32)
VARIABLES = {
    "params": {
        "scale": RNG.normal(1.0, 0.3, 5).astype(np.float32),
        "bias": RNG.normal(size=5).astype(np.float32),
    },
    "batch_stats": {
        "mean": RNG.normal(size=5).astype(np.float32),
        "var": RNG.uniform(0.5, 2.0, 5).astype(np.float32),
    },
}


def loss(params, x, dy, norm=None):
    variables = VARIABLES | {"params": params}
    y, new = (norm or BatchNorm()).apply(
        variables, x, train=True, mutable=["batch_stats"]
    )
    return (y * dy).sum(), new["batch_stats"]


def loss64(params, x):
    mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
    y = params["scale"] * (x - mean) / np.sqrt(var + 1e-5) + params["bias"]
    return (y * DY).sum()


def test_init_is_flax_batch_norm():
    ours = BatchNorm().init(jax.random.key(0), X)
    theirs = nn.BatchNorm(use_running_average=False).init(jax.random.key(0), X)
    chex.assert_trees_all_equal(ours, theirs)


def test_training_and_gradients_equal_flax():
    flax = nn.BatchNorm(use_running_average=False, momentum=0.9)

    def theirs(params, x):
        with jax.numpy_rank_promotion("allow"):
            y, new = flax.apply(
                VARIABLES | {"params": params}, x, mutable=["batch_stats"]
            )
        return (y * DY).sum(), new["batch_stats"]

    both = [
        jax.value_and_grad(f, (0, 1), has_aux=True)(VARIABLES["params"], X, *rest)
        for f, rest in ((loss, (DY,)), (theirs, ()))
    ]
    # Flax's E[x^2] - E[x]^2 loses a few of float32's 24 bits; ours does not.
    chex.assert_trees_all_close(*both, rtol=1e-4, atol=1e-5)


def test_gradients_equal_float64_differences():
    params, x = jax.tree.map(np.float64, (VARIABLES["params"], X))
    grads = jax.grad(loss, (0, 1), has_aux=True)(VARIABLES["params"], X, DY)[0]
    step = 1e-5
    for name in ("scale", "bias"):
        for channel in range(5):
            values = []
            for sign in (1, -1):
                moved = {key: value.copy() for key, value in params.items()}
                moved[name][channel] += sign * step
                values.append(loss64(moved, x))
            slope = (values[0] - values[1]) / (2 * step)
            np.testing.assert_allclose(grads[0][name][channel], slope, atol=2e-5)
    for index in [(0, 0, 0, 0), (3, 1, 2, 4), (7, 2, 1, 2)]:
        values = []
        for sign in (1, -1):
            moved = x.copy()
            moved[index] += sign * step
            values.append(loss64(params, moved))
        slope = (values[0] - values[1]) / (2 * step)
        np.testing.assert_allclose(grads[1][index], slope, atol=1e-5)


def test_running_statistics_are_used_in_evaluation():
    stats, params = VARIABLES["batch_stats"], VARIABLES["params"]
    y = BatchNorm().apply(VARIABLES, X)
    expected = (X - stats["mean"]) / np.sqrt(stats["var"] + 1e-5)
    expected = expected * params["scale"] + params["bias"]
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)


def test_variance_survives_a_large_mean():
    x = (RNG.normal(size=(64, 4, 4, 2)) + 1000).astype(np.float32)
    mean, var = jax.jit(moments)(x)
    np.testing.assert_allclose(mean, x.astype(np.float64).mean((0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(var, x.astype(np.float64).var((0, 1, 2)), rtol=1e-5)


@pytest.mark.parametrize("height", [1, 2, 33, 224])
def test_variance_survives_rows_that_are_far_from_all_others(height):
    x = RNG.normal(size=(16, height, 8, 3))
    x[:, height // 2] += 1000  # the rows that sums are taken around
    x = x.astype(np.float32)
    _, var = jax.jit(moments)(x)
    expected = x.astype(np.float64).var((0, 1, 2))
    # Both means have some roundings of their own, which cancelling makes larger.
    np.testing.assert_allclose(var, expected, rtol=4 * (height + 1) * 2.0**-23)


def test_two_devices_equal_the_whole_batch():
    norm = BatchNorm(axis_name="devices")

    def one(params, x, dy):
        grads, stats = jax.grad(loss, (0, 1), has_aux=True)(params, x, dy, norm)
        return jax.lax.psum(grads[0], "devices"), grads[1], stats

    halves = [a.reshape(2, -1, *a.shape[1:]) for a in (X, DY)]
    spread = jax.pmap(one, "devices", in_axes=(None, 0, 0))
    params, dx, stats = spread(VARIABLES["params"], *halves)
    expected, whole = jax.grad(loss, (0, 1), has_aux=True)(VARIABLES["params"], X, DY)
    for device in range(2):
        got = jax.tree.map(lambda leaf, device=device: leaf[device], (params, stats))
        chex.assert_trees_all_close(got, (expected[0], whole), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(dx.reshape(X.shape), expected[1], atol=1e-5)


def test_bfloat16_keeps_float32_statistics():
    x = X.astype(jnp.bfloat16)
    y, new = BatchNorm().apply(VARIABLES, x, train=True, mutable=["batch_stats"])
    assert y.dtype == jnp.bfloat16
    expected = 0.9 * VARIABLES["batch_stats"]["mean"] + 0.1 * np.float64(x).mean(
        (0, 1, 2)
    )
    assert new["batch_stats"]["mean"].dtype == jnp.float32
    # Rounding is that of images of about 1, also where their mean is near 0.
    np.testing.assert_allclose(
        new["batch_stats"]["mean"], expected, rtol=1e-6, atol=6e-8
    )
