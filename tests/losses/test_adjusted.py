import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ltjax import losses

COUNTS = np.array([500, 120, 31, 7, 1])
C = len(COUNTS)


def draw(shape=(8,), scale=3.0, seed=0):
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=scale, size=(*shape, C)).astype(np.float32)
    return logits, rng.integers(0, C, size=shape)


def reference_cross_entropy(logits, labels):
    logits = np.asarray(logits, np.float64)
    top = logits.max(-1, keepdims=True)
    log_total = np.log(np.exp(logits - top).sum(-1, keepdims=True)) + top
    return -np.take_along_axis(logits - log_total, labels[..., None], -1)[..., 0]


@pytest.mark.parametrize("shape", [(), (8,), (2, 3, 4)])
def test_cross_entropy_matches_numpy_for_any_leading_shape(shape):
    logits, labels = draw(shape)
    found = losses.cross_entropy(logits, labels)
    assert found.shape == shape
    assert found.dtype == jnp.float32
    expected = reference_cross_entropy(logits, labels)
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=2e-6)


def test_cross_entropy_of_low_precision_logits_is_computed_in_float32():
    logits, labels = draw()
    rounded = jnp.asarray(logits, jnp.bfloat16)
    found = losses.cross_entropy(rounded, labels)
    expected = reference_cross_entropy(np.asarray(rounded, np.float64), labels)
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=2e-6)


def test_cross_entropy_of_saturated_logits_is_exact():
    logits = np.array([[1e4, 0.0, 0.0, 0.0, 0.0]] * 2)
    value, gradient = jax.vmap(jax.value_and_grad(losses.cross_entropy))(
        jnp.asarray(logits, jnp.float32), jnp.array([0, 1])
    )
    np.testing.assert_array_equal(value, [0, 1e4])
    np.testing.assert_array_equal(gradient, [[0] * 5, [1, -1, 0, 0, 0]])


def test_labels_of_another_shape_are_refused():
    logits, labels = draw()
    with pytest.raises(AssertionError):
        losses.cross_entropy(logits, labels[:1])
    with pytest.raises(AssertionError):
        losses.cross_entropy(logits, labels[:, None])


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_focal_matches_numpy(gamma):
    logits, labels = draw()
    loss = reference_cross_entropy(logits, labels)
    np.testing.assert_allclose(
        losses.focal(logits, labels, gamma),
        (1 - np.exp(-loss)) ** gamma * loss,
        rtol=2e-5,
    )


def test_focal_at_gamma_zero_is_cross_entropy():
    logits, labels = draw()

    def focal(x):
        return losses.focal(x, labels, 0.0).sum()

    def plain(x):
        return losses.cross_entropy(x, labels).sum()

    np.testing.assert_array_equal(focal(logits), plain(logits))
    np.testing.assert_allclose(
        jax.grad(focal)(logits), jax.grad(plain)(logits), atol=1e-6
    )


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_focal_gradient_is_finite_at_certainty(gamma):
    logits = jnp.array([100.0, 0.0, 0.0, 0.0, 0.0])
    value, gradient = jax.value_and_grad(losses.focal)(logits, jnp.int32(0), gamma)
    assert value == 0
    np.testing.assert_array_equal(gradient, np.zeros(C))


def test_log_prior_matches_numpy():
    np.testing.assert_allclose(
        losses.log_prior(COUNTS), np.log(COUNTS / COUNTS.sum()), rtol=1e-6
    )


def test_log_prior_of_an_absent_class():
    found = losses.log_prior(np.array([3, 0, 1]))
    np.testing.assert_allclose(found, [np.log(0.75), -1e4, np.log(0.25)], rtol=1e-6)


def test_log_prior_of_huge_counts():
    counts = np.array([6_000_000_000, 5_000_000_000, 1])  # beyond 32 bits
    expected = np.log(counts / counts.sum())
    np.testing.assert_allclose(losses.log_prior(counts), expected, rtol=1e-6)


@pytest.mark.parametrize("tau", [0.5, 1.0, 2.0])
def test_logit_adjusted_matches_numpy(tau):
    logits, labels = draw()
    shifted = logits + tau * np.log(COUNTS / COUNTS.sum())
    np.testing.assert_allclose(
        losses.logit_adjusted(logits, labels, COUNTS, tau),
        reference_cross_entropy(shifted, labels),
        rtol=5e-6,
        atol=2e-6,
    )


def test_balanced_softmax_matches_numpy_and_logit_adjusted_at_one():
    logits, labels = draw()
    found = losses.balanced_softmax(logits, labels, COUNTS)
    expected = reference_cross_entropy(logits + np.log(COUNTS), labels)
    np.testing.assert_allclose(found, expected, rtol=5e-6, atol=2e-6)
    adjusted = losses.logit_adjusted(logits, labels, COUNTS, 1.0)
    np.testing.assert_allclose(found, adjusted, rtol=1e-6)


@pytest.mark.parametrize("loss", [losses.logit_adjusted, losses.balanced_softmax])
def test_equal_counts_give_cross_entropy(loss):
    logits, labels = draw()
    np.testing.assert_allclose(
        loss(logits, labels, np.full(C, 17)),
        losses.cross_entropy(logits, labels),
        rtol=2e-6,
        atol=2e-6,
    )


@pytest.mark.parametrize("counts", [COUNTS, np.array([5, 0, 2, 0, 1])])
def test_tau_zero_gives_cross_entropy(counts):
    logits, labels = draw()
    np.testing.assert_array_equal(
        losses.logit_adjusted(logits, labels, counts, 0.0),
        losses.cross_entropy(logits, labels),
    )


@pytest.mark.parametrize(
    "loss", [losses.logit_adjusted, losses.balanced_softmax, losses.ldam]
)
def test_permuting_the_classes_changes_nothing(loss):
    logits, labels = draw()
    order = np.array([3, 0, 4, 1, 2])
    found = loss(logits[:, order], np.argsort(order)[labels], COUNTS[order])
    expected = loss(logits, labels, COUNTS)
    np.testing.assert_allclose(found, expected, rtol=5e-6, atol=5e-6)


@pytest.mark.parametrize(
    "loss", [losses.logit_adjusted, losses.balanced_softmax, losses.ldam]
)
def test_absent_classes_give_finite_values_and_gradients(loss):
    logits = draw((C,))[0]
    labels = jnp.arange(C)  # the absent classes among them
    counts = np.array([50, 0, 3, 0, 1])

    def total(x):
        values = loss(x, labels, counts)
        return values.sum(), values

    gradient, values = jax.grad(total, has_aux=True)(logits)
    chex.assert_tree_all_finite((gradient, values))
    assert (np.abs(gradient).sum(-1) > 0).all()


def test_an_absent_class_does_not_disturb_the_present_ones():
    logits, _ = draw()
    labels = np.arange(8) % 2 * 2
    full = losses.logit_adjusted(logits, labels, np.array([50, 0, 3, 0, 1]))
    kept = [0, 2, 4]
    small = losses.logit_adjusted(logits[:, kept], labels // 2, np.array([50, 3, 1]))
    np.testing.assert_allclose(full, small, rtol=1e-6)


@pytest.mark.parametrize(
    "loss",
    [
        lambda x, y, n: losses.focal(x, y, 1.5),
        losses.logit_adjusted,
        losses.balanced_softmax,
        losses.ldam,
    ],
    ids=["focal", "logit_adjusted", "balanced_softmax", "ldam"],
)
def test_jit_traces_once_and_vmap_agrees(loss):
    logits, labels = draw()
    chex.clear_trace_counter()
    jitted = jax.jit(chex.assert_max_traces(loss, 1))
    jitted(logits + 1, labels, COUNTS)
    found = jitted(logits, labels, COUNTS)
    expected = jax.vmap(loss, (0, 0, None))(logits, labels, COUNTS)
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=2e-6)
