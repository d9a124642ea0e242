import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ltjax.posterior import predictive


class Net(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.Dense(3)(x)
        x = nn.BatchNorm(use_running_average=True)(x)
        return nn.Dense(4)(nn.relu(x).mean((1, 2)))


net = Net()
images = np.random.default_rng(0).normal(size=(11, 4, 4, 2)).astype(np.float32)
centre = net.init(jax.random.key(0), images)


@jax.jit
def draw(key_and_scale):
    key, scale = key_and_scale
    stretch = 1 + scale * jax.random.uniform(key)
    return jax.tree.map(lambda x: stretch * (x + 0.1), centre)


def members():
    return jax.random.split(jax.random.key(1), 3), jnp.array([0.0, 0.5, 1.0])


@pytest.fixture(scope="module")
def looped():
    keys, scales = members()
    apply = jax.jit(net.apply)
    return np.stack([apply(draw((keys[i], scales[i])), images) for i in range(3)])


@pytest.mark.parametrize("chunk", [1, 2, 3, 8])
def test_features_equal_a_loop_for_any_chunk(looped, chunk):
    run = jax.jit(
        lambda keys: predictive.features(keys, draw, net.apply, images, chunk)
    )
    found = run(members())
    assert found.shape == (3, 11, 4)
    np.testing.assert_allclose(found, looped, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 4])
def test_features_do_not_depend_on_the_batches(looped, batch_size):
    run = jax.jit(
        lambda keys, x: predictive.features(
            keys, draw, net.apply, x, batch_size=batch_size
        )
    )
    np.testing.assert_allclose(run(members(), images), looped, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("backend", "sizes"), [("cpu", {75}), ("gpu", {150})])
def test_batches_suit_the_backend(monkeypatch, backend, sizes):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    seen = set()

    def apply(variables, x):
        seen.add(len(x))
        return variables["params"] * x

    pixels = np.arange(150, dtype=np.float32).reshape(150, 1)
    found = predictive.features(
        jnp.array([3.0]), lambda factor: {"params": factor}, apply, pixels
    )
    assert seen == sizes
    np.testing.assert_array_equal(found[0], 3 * pixels)


def test_the_same_keys_serve_twice(looped):
    keys = members()
    run = jax.jit(lambda keys: predictive.features(keys, draw, net.apply, images))
    for _ in range(2):
        found = run(keys)
        np.testing.assert_allclose(found, looped, rtol=1e-5, atol=1e-6)


def test_bytes_and_any_outputs_pass_through():
    pixels = np.arange(5 * 2 * 2, dtype=np.uint8).reshape(5, 2, 2)

    def apply(variables, x):
        assert x.dtype == jnp.uint8
        return variables["params"] * x[..., None].astype(jnp.float32)

    factors = jnp.array([1.0, 2.0])
    found = predictive.features(
        factors, lambda factor: {"params": factor}, apply, pixels, batch_size=2
    )
    expected = np.stack([pixels, 2.0 * pixels])[..., None]
    np.testing.assert_array_equal(found, expected)


def test_refusals_name_what_was_found():
    keys = members()
    with pytest.raises(ValueError, match="keys are empty"):
        predictive.features((keys[0][:0], keys[1][:0]), draw, net.apply, images)
    with pytest.raises(ValueError, match="share no leading axis"):
        predictive.features((keys[0], keys[1][:2]), draw, net.apply, images)
    with pytest.raises(ValueError, match="share no leading axis"):
        predictive.features(jax.random.key(0), draw, net.apply, images)
    with pytest.raises(ValueError, match="chunk is 0"):
        predictive.features(keys, draw, net.apply, images, chunk=0)
    with pytest.raises(ValueError, match="0 images"):
        predictive.features(keys, draw, net.apply, images[:0])
    with pytest.raises(ValueError, match="batches of 0"):
        predictive.features(keys, draw, net.apply, images, batch_size=0)


def softmax(logits):
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def test_mean_log_probs_matches_float64():
    logits = 3 * np.random.default_rng(0).normal(size=(4, 6, 5))
    found = predictive.mean_log_probs(logits.astype(np.float32))
    expected = np.log(softmax(logits).mean(0))
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=1e-6)
    np.testing.assert_allclose(np.exp(found).sum(-1), 1, rtol=1e-6)


def test_mean_log_probs_does_not_underflow():
    logits = jnp.array([[[0.0, -1000.0]], [[0.0, -1002.0]]])
    expected = -1000 + np.log((1 + np.exp(-2)) / 2)
    found = predictive.mean_log_probs(logits)
    np.testing.assert_allclose(found, [[0.0, expected]], rtol=1e-6)


def test_mean_log_probs_of_one_member_is_its_own():
    logits = jax.random.normal(jax.random.key(0), (1, 6, 5))
    found = predictive.mean_log_probs(logits)
    np.testing.assert_allclose(found, jax.nn.log_softmax(logits[0]), atol=1e-6)
    shifted = predictive.mean_log_probs(jnp.concatenate([logits, logits + 7]))
    np.testing.assert_allclose(shifted, found, atol=2e-6)
