import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ltjax.posterior import batch_norm

EPSILON = 1e-5
COUNT = 23


class Norm(nn.Module):
    """Batch norm one level down, so that the statistics are nested."""

    momentum: float

    @nn.compact
    def __call__(self, x, train):
        return nn.BatchNorm(
            use_running_average=not train,
            momentum=self.momentum,
            epsilon=EPSILON,
            use_fast_variance=False,
        )(x)


class Net(nn.Module):
    """Convolution, batch norm, ReLU, mean, dense, batch norm, ReLU, dense."""

    momenta: tuple = (0.9, 0.9)

    @nn.compact
    def __call__(self, x, train=False):
        x = nn.Conv(4, (3, 3), padding="VALID", name="conv")(x)
        x = nn.relu(Norm(self.momenta[0], name="low")(x, train)).mean((1, 2))
        x = nn.Dense(5, name="dense")(x)
        x = nn.relu(Norm(self.momenta[1], name="high")(x, train))
        return nn.Dense(3, name="head")(x)


def twin(params, images, batch_size):
    """Pooled statistics of both layers in float64, of the batches of the definition."""
    params = jax.tree.map(lambda x: np.asarray(x, np.float64), params)
    moments = {"low": [], "high": []}

    def norm(name, x):
        axes = tuple(range(x.ndim - 1))
        mean, var = x.mean(axes), x.var(axes)
        moments[name].append((len(x), mean, var))
        affine = params[name]["BatchNorm_0"]
        x = (x - mean) / np.sqrt(var + EPSILON)
        return np.maximum(x * affine["scale"] + affine["bias"], 0)

    parts = -(-len(images) // batch_size)
    for first in range(parts):
        batch = images[first::parts].astype(np.float64)
        x = convolved(params, batch)
        x = norm("low", x).mean((1, 2))
        norm("high", x @ params["dense"]["kernel"] + params["dense"]["bias"])
    return {name: {"BatchNorm_0": pooled(rows)} for name, rows in moments.items()}


def convolved(params, x):
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(1, 2))
    kernel, bias = (
        np.asarray(params["conv"][x], np.float64) for x in ("kernel", "bias")
    )
    return np.einsum("nhwcij,ijcd->nhwd", windows, kernel) + bias


def pooled(rows):
    counts, means, variances = (np.array(column) for column in zip(*rows))
    weights = (counts / counts.sum())[:, None]
    mean = (weights * means).sum(0)
    return {"mean": mean, "var": (weights * (variances + (means - mean) ** 2)).sum(0)}


images = np.random.default_rng(0).normal(1, 2, (COUNT, 5, 6, 2)).astype(np.float32)
# Images that differ in their order, as those sorted by class do.
images += np.linspace(-2, 2, COUNT, dtype=np.float32)[:, None, None, None]
centre = jax.jit(Net().init)(jax.random.key(0), images)["params"]


def members(count=3):
    """Weights around the initial ones, stacked [count, ...]: the keys of `direct`."""
    rng = np.random.default_rng(1)

    def around(x):
        noise = 0.3 * rng.normal(size=(count, *x.shape))
        return (np.asarray(x) + noise).astype(np.float32)

    return jax.tree.map(around, centre)


def direct(params):
    return {"params": params}


@functools.cache
def compiled(batch_size, chunk, momenta):
    apply = Net(momenta).apply
    return jax.jit(
        lambda keys, x: batch_norm.refresh(direct, keys, apply, x, batch_size, chunk)
    )


def refresh(weights, batch_size=7, chunk=1, momenta=(0.9, 0.9)):
    return compiled(batch_size, chunk, momenta)(weights, images)


def at(tree, index):
    return jax.tree.map(lambda x: x[index], tree)


def assert_close(found, expected, rtol=1e-5):
    """Within rounding: means by the spread of their layer, variances by themselves."""
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for name in ("low", "high"):
        mine, theirs = found[name]["BatchNorm_0"], expected[name]["BatchNorm_0"]
        np.testing.assert_allclose(mine["var"], theirs["var"], rtol=rtol)
        spread = np.sqrt(np.max(theirs["var"]))
        np.testing.assert_allclose(mine["mean"], theirs["mean"], atol=rtol * spread)


def stacked(trees):
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)


def expected(weights, batch_size):
    count = len(weights["head"]["bias"])
    return stacked([twin(at(weights, i), images, batch_size) for i in range(count)])


@pytest.mark.parametrize("batch_size", [2, 7, 1000])
def test_every_layer_matches_float64(batch_size):
    weights = members()
    assert_close(refresh(weights, batch_size), expected(weights, batch_size))


def test_one_batch_is_the_two_pass_everywhere():
    weights = members()
    whole = stacked([twin(at(weights, i), images, COUNT) for i in range(3)])
    assert_close(refresh(weights, 1000), whole)
    # In parts the deeper layer sees other inputs; the test would notice.
    parts = expected(weights, 7)["high"]["BatchNorm_0"]["var"]
    assert np.abs(parts / whole["high"]["BatchNorm_0"]["var"] - 1).max() > 0.01


def sum_of_classes(channels, per_class, classes):
    """Two batch norms, the sum over channels between, and images sorted by class.

    An image is its class's value on all channels, plus noise; variances one and a
    hundredth. Each channel has unit variance after the first norm, nearly all of which
    the channels share: their sum has a variance of nearly channels^2.
    """
    rng = np.random.default_rng(0)
    value = np.repeat(rng.normal(size=classes), per_class)
    value = (value - value.mean()) / value.std()
    images = value[:, None] + 0.1 * rng.normal(size=(len(value), channels))

    def apply(variables, x, train, mutable):
        first = {"mean": x.mean(0), "var": x.var(0)}
        y = (x - x.mean(0, keepdims=True)) / jnp.sqrt(x.var(0, keepdims=True) + EPSILON)
        y = y.sum(-1, keepdims=True)
        second = {"mean": y.mean(0), "var": y.var(0)}
        return y, {"batch_stats": {"first": first, "second": second}}

    return images.astype(np.float32), apply


@pytest.mark.parametrize("batch_size", [20, 64, 1000])
def test_images_sorted_by_class_keep_the_variance_between_classes(batch_size):
    """Outside of any rule of batches: what the network would compute of all at once.

    In index order a batch has one class or two, whose variance its first norm has
    divided away: what is left of the second's is that of noise, some 8.
    """
    channels = 8
    images, apply = sum_of_classes(channels, per_class=20, classes=10)
    keys = jnp.zeros(1)
    run = jax.jit(lambda x: batch_norm.refresh(direct, keys, apply, x, batch_size))
    found = run(images)["second"]["var"][0, 0]
    standard = (images - images.mean(0)) / images.std(0)
    np.testing.assert_allclose(found, standard.sum(-1).var(), rtol=0.05)
    assert found > 0.9 * channels**2
    # The order of images is no part of what they are.
    shuffled = images[np.random.default_rng(1).permutation(len(images))]
    np.testing.assert_allclose(run(shuffled)["second"]["var"][0, 0], found, rtol=0.05)


@pytest.mark.parametrize("batch_size", [1, 7, 12, 1000])
def test_first_layer_is_exact_for_any_batch_size(batch_size):
    weights = members()
    found = refresh(weights, batch_size)["low"]["BatchNorm_0"]
    for i in range(3):
        x = convolved(at(weights, i), images.astype(np.float64))
        np.testing.assert_allclose(found["mean"][i], x.mean((0, 1, 2)), atol=2e-5)
        np.testing.assert_allclose(found["var"][i], x.var((0, 1, 2)), rtol=1e-5)


@pytest.mark.parametrize(
    "momenta", [(0.99, 0.99), (0.5, 0.5), (0.0, 0.0), (0.999, 0.123456), (0.9, 0.0)]
)
def test_momentum_of_the_model_does_not_matter(momenta):
    weights = members()
    assert_close(refresh(weights, momenta=momenta), expected(weights, 7))


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9, 0.99, 0.999, 0.9999])
def test_one_batch_with_four_decimals_of_momentum_is_exact(momentum):
    x = np.random.default_rng(0).normal(size=(8, 300)).astype(np.float32)

    def apply(variables, x, train, mutable):
        old = variables["batch_stats"]["norm"] if "batch_stats" in variables else None
        batch = {"mean": x.mean(0), "var": x.var(0)}
        if old is None:
            return x, {"batch_stats": {"norm": batch}}
        new = {k: momentum * old[k] + (1 - momentum) * batch[k] for k in batch}
        return x, {"batch_stats": {"norm": new}}

    run = jax.jit(lambda x: batch_norm.refresh(direct, jnp.zeros(1), apply, x))
    found = run(x)["norm"]
    # 1 - float32(0.9999) instead of float32(0.0001) would be wrong by 2e-4.
    np.testing.assert_allclose(found["mean"][0], x.mean(0), rtol=3e-7)
    np.testing.assert_allclose(found["var"][0], x.var(0), rtol=5e-7)


def test_sets_in_one_call_equal_separate_calls():
    weights = members()
    alone = [refresh(at(weights, slice(i, i + 1))) for i in range(3)]
    apart = jax.tree.map(lambda *leaves: np.concatenate(leaves), *alone)
    together = refresh(weights)
    for found, wanted in zip(jax.tree.leaves(together), jax.tree.leaves(apart)):
        np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("chunk", [2, 3])
def test_chunks_agree(chunk):
    weights = members()
    assert_close(refresh(weights, chunk=chunk), refresh(weights))


def test_statistics_of_the_draw_are_ignored():
    weights = members()
    found = refresh(weights)
    bad = jax.tree.map(lambda x: jnp.full_like(x[0], jnp.nan), found)
    run = jax.jit(
        lambda keys, x: batch_norm.refresh(
            lambda params: {"params": params, "batch_stats": bad},
            keys,
            Net().apply,
            x,
            batch_size=7,
        )
    )
    jax.tree.map(np.testing.assert_array_equal, run(weights, images), found)


def test_keys_may_be_a_tree_and_serve_twice():
    pairs = jax.random.split(jax.random.key(1), 2), jnp.array([0.0, 1.0])

    def draw(key_and_scale):
        key, scale = key_and_scale
        bias = scale * jax.random.normal(key, (3, 3, 2, 4))
        conv = {**centre["conv"], "kernel": centre["conv"]["kernel"] + bias}
        return {"params": {**centre, "conv": conv}}

    # Keys that a call had used up would be refused in the second, in these tests.
    run = jax.jit(lambda keys: batch_norm.refresh(draw, keys, Net().apply, images, 7))
    for _ in range(2):
        found = run(pairs)
    keys, scales = pairs
    weights = [draw((keys[i], scales[i]))["params"] for i in range(2)]
    assert_close(found, stacked([twin(w, images, 7) for w in weights]))


def test_refreshed_statistics_normalise_the_first_layer():
    weights = members()
    norm = weights["low"]["BatchNorm_0"]
    norm["scale"], norm["bias"] = np.ones_like(norm["scale"]), 0 * norm["bias"]
    variables = at({"params": weights, "batch_stats": refresh(weights)}, 1)
    _, kept = Net().apply(
        variables, images, capture_intermediates=True, mutable=["intermediates"]
    )
    (x,) = kept["intermediates"]["low"]["BatchNorm_0"]["__call__"]
    np.testing.assert_allclose(x.mean((0, 1, 2)), 0, atol=1e-5)
    # EPSILON under the root takes 1e-5 / var of the variance.
    np.testing.assert_allclose(x.var((0, 1, 2)), 1, rtol=1e-4)


def test_pooling_survives_a_large_mean():
    def apply(variables, x, train, mutable):
        moments = {"mean": x.mean(0), "var": x.var(0)}
        return x, {"batch_stats": {"layer": moments}}  # a momentum of 0

    x = np.random.default_rng(0).normal(3000, 1, (400, 6)).astype(np.float32)
    x[:100] += 2
    found = batch_norm.refresh(direct, jnp.zeros(1), apply, x, batch_size=7)["layer"]
    exact = x.astype(np.float64)
    # One number of x is rounded by 1e-4, and so is a mean after each of 58 batches;
    # pooling mean squares instead would leave the variance uncertain by 3000^2 * 6e-8.
    np.testing.assert_allclose(found["mean"][0], exact.mean(0), rtol=0, atol=3e-3)
    np.testing.assert_allclose(found["var"][0], exact.var(0), rtol=1e-3)


def test_bytes_are_left_to_the_model():
    pixels = np.random.default_rng(0).integers(0, 256, (9, 5, 6, 2), np.uint8)

    def apply(variables, x, **rest):
        assert x.dtype == jnp.uint8
        return Net().apply(variables, x.astype(jnp.float32) / 255, **rest)

    weights = members(1)
    found = batch_norm.refresh(direct, weights, apply, pixels, 4)
    assert_close(found, stacked([twin(at(weights, 0), pixels / 255, 4)]))


def test_a_model_without_batch_norm_has_no_statistics():
    net = nn.Dense(2)
    x = np.ones((4, 3), np.float32)
    params = net.init(jax.random.key(0), x)["params"]

    def apply(variables, x, train, mutable):
        return net.apply(variables, x, mutable=mutable)

    found = batch_norm.refresh(direct, at(params, None), apply, x)
    assert found == {}


@pytest.mark.parametrize(
    ("stats", "name"),
    [
        ({"block": {"mean": jnp.ones(2), "std": jnp.ones(2)}}, "block/mean"),
        ({"mean": jnp.ones(2), "var": jnp.ones(2), "count": jnp.ones(())}, "count"),
    ],
)
def test_other_statistics_are_refused(stats, name):
    def apply(variables, x, train, mutable):
        return x, {"batch_stats": stats}

    with pytest.raises(ValueError, match=f"batch_stats holds {name}"):
        batch_norm.refresh(direct, jnp.zeros(1), apply, images)


def test_refusals_name_what_was_found():
    apply, weights = Net().apply, members(2)
    with pytest.raises(ValueError, match="keys are empty"):
        batch_norm.refresh(direct, at(weights, slice(0)), apply, images)
    with pytest.raises(ValueError, match="chunk is 0"):
        batch_norm.refresh(direct, weights, apply, images, chunk=0)
    with pytest.raises(ValueError, match="0 images"):
        batch_norm.refresh(direct, weights, apply, images[:0])
    with pytest.raises(ValueError, match="batches of 0"):
        batch_norm.refresh(direct, weights, apply, images, 0)


def program(members, chunk, count=64):
    """Length of the lowered text, and bytes of temporary memory when compiled."""

    def draw(shift):  # as large as real weights, and drawn, not stored
        return {"params": jax.tree.map(lambda x: x + shift, centre)}

    shifts = jax.ShapeDtypeStruct((members,), jnp.float32)
    images = jax.ShapeDtypeStruct((count, 16, 16, 2), jnp.float32)
    lowered = jax.jit(
        lambda keys, x: batch_norm.refresh(draw, keys, Net().apply, x, 32, chunk)
    ).lower(shifts, images)
    memory = lowered.compile().memory_analysis()
    return len(lowered.as_text()), memory.temp_size_in_bytes


def test_memory_is_that_of_a_chunk_and_the_program_holds_no_data():
    length, few = program(2, chunk=1)
    _, many = program(8, chunk=1)
    _, together = program(8, chunk=8)
    assert many < 1.05 * few
    assert together > 3 * few
    longer, most = program(2, chunk=1, count=6400)
    assert most < 1.05 * few
    assert longer < 1.05 * length
