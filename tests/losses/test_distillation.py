import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import digamma, gammaln, polygamma

from ltjax import losses
from ltjax.losses.distillation import (
    MAX_PRECISION,
    _digamma_rest,
    _lgamma_rest,
    divergence,
)

# Compiled once per shape for all tests.
mean = jax.jit(losses.mean_distillation)
dirichlet = jax.jit(losses.dirichlet_distillation)


def warm_mean(members, logits):
    return losses.mean_distillation(members, logits, 2.0)


both = pytest.mark.parametrize(
    "loss", [warm_mean, losses.dirichlet_distillation], ids=["mean", "dirichlet"]
)


def draw(M=4, N=6, C=5, scale=2.0, spread=0.7, seed=0):
    rng = np.random.default_rng(seed)
    center = rng.normal(scale=scale, size=(N, C))
    members = center + rng.normal(scale=spread, size=(M, N, C))
    logits = center + rng.normal(scale=spread, size=(N, C))
    return members.astype(np.float32), logits.astype(np.float32)


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def reference_mean(members, logits, temperature):
    members, logits = (np.asarray(x, np.float64) for x in (members, logits))
    teacher = softmax(members / temperature).mean(0)
    student = softmax(logits / temperature)
    return temperature**2 * (teacher * np.log(teacher / student)).sum(-1)


def reference_target(members):
    probs = softmax(np.asarray(members, np.float64))
    center = probs.mean(0)
    spread = (center * (np.log(center) - np.log(probs).mean(0))).sum(-1)
    precision = (members.shape[-1] - 1) / (2 * np.maximum(spread, 1e-12))
    return center, np.minimum(precision, 1e4)


def reference_dirichlet(members, logits):
    center, precision = reference_target(members)
    b = center * precision[:, None] + 1
    a = np.exp(np.asarray(logits, np.float64)) + 1
    total = a.sum(-1, keepdims=True)
    log_norms = gammaln(total[:, 0]) - gammaln(a).sum(-1)
    log_norms += gammaln(b).sum(-1) - gammaln(b.sum(-1))
    cross = ((a - b) * (digamma(a) - digamma(total))).sum(-1)
    return (log_norms + cross) / precision


def reference_dirichlet_gradient(members, logits):
    center, precision = reference_target(members)
    b = center * precision[:, None] + 1
    grown = np.exp(np.asarray(logits, np.float64))
    a = grown + 1
    gap = (a - b) * polygamma(1, a)
    gap -= (a - b).sum(-1, keepdims=True) * polygamma(1, a.sum(-1, keepdims=True))
    return gap * grown / precision[:, None]


@functools.partial(jax.jit, static_argnums=0)
def value_and_gradient(loss, members, logits):
    def total(x):
        values = loss(members, x)
        return values.sum(), values

    gradient, values = jax.grad(total, has_aux=True)(logits)
    return values, gradient


# Both


@both
def test_one_number_per_example_for_any_middle_shape(loss):
    members, logits = draw(N=6)
    loss = jax.jit(loss)
    flat = loss(members, logits)
    assert flat.shape == (6,)
    deep = loss(members.reshape(4, 2, 3, 5), logits.reshape(2, 3, 5))
    np.testing.assert_allclose(deep, flat.reshape(2, 3), rtol=1e-5, atol=1e-6)
    single = loss(members[:, 0], logits[0])
    np.testing.assert_allclose(single, flat[0], rtol=1e-5, atol=1e-6)


@both
def test_gradient_goes_into_the_student_only(loss):
    members, logits = draw()
    gradient = jax.jit(jax.grad(lambda m, x: loss(m, x).sum(), argnums=(0, 1)))
    into_members, into_logits = gradient(members, logits)
    np.testing.assert_array_equal(into_members, np.zeros_like(members))
    assert (np.abs(into_logits).max(-1) > 1e-4).all()


@both
def test_gradient_stays_in_the_student_when_both_share_weights(loss):
    members, logits = draw()

    def live(scale):
        return loss(scale * members, scale * logits).sum()

    def frozen(scale):
        return loss(members, scale * logits).sum()

    found, expected = jax.jit(lambda: (jax.grad(live)(1.0), jax.grad(frozen)(1.0)))()
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@both
def test_permuting_classes_or_members_changes_nothing(loss):
    members, logits = draw()
    loss = jax.jit(loss)
    expected = loss(members, logits)
    order = np.array([3, 0, 4, 1, 2])
    found = loss(members[..., order], logits[:, order])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    found = loss(members[::-1], logits)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


@both
def test_vmap_and_jit_agree_and_jit_traces_once(loss):
    members, logits = draw()
    chex.clear_trace_counter()
    jitted = jax.jit(chex.assert_max_traces(loss, 1))
    jitted(members + 1, logits)
    found = jitted(members, logits)
    mapped = jax.vmap(loss, (1, 0))(members, logits)
    np.testing.assert_allclose(found, mapped, rtol=1e-5, atol=1e-6)


@both
def test_shapes_that_do_not_fit_are_refused(loss):
    members, logits = draw()
    with pytest.raises(AssertionError):
        loss(members, logits[:1])


@both
def test_absent_classes_of_adjusted_logits_stay_finite(loss):
    members, logits = draw()
    members[..., 1] -= 1e4
    logits[:, 1] -= 1e4
    values, gradient = value_and_gradient(loss, members, logits)
    chex.assert_tree_all_finite((values, gradient))
    np.testing.assert_array_equal(gradient[:, 1], np.zeros(6))


# The mean


@pytest.mark.parametrize("temperature", [1.0, 2.0, 4.0])
def test_mean_matches_numpy(temperature):
    members, logits = draw()
    # The logarithms are rounded at 1e-7, which temperature^2 multiplies.
    np.testing.assert_allclose(
        mean(members, logits, temperature),
        reference_mean(members, logits, temperature),
        rtol=1e-5,
        atol=3e-7 * temperature**2,
    )


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_mean_gradient_is_student_minus_teacher(temperature):
    members, logits = draw()
    _, gradient = value_and_gradient(
        lambda m, x: losses.mean_distillation(m, x, temperature), members, logits
    )
    teacher = softmax(members.astype(np.float64) / temperature).mean(0)
    expected = temperature * (softmax(logits / temperature) - teacher)
    np.testing.assert_allclose(gradient, expected, atol=2e-6)


def test_mean_is_zero_with_zero_gradient_where_the_student_equals_all_members():
    _, logits = draw()
    members = np.stack([logits, logits + 1, logits - 2])  # equal probabilities
    values, gradient = value_and_gradient(warm_mean, members, logits)
    np.testing.assert_allclose(values, np.zeros(6), atol=1e-6)
    np.testing.assert_allclose(gradient, np.zeros((6, 5)), atol=1e-6)


def test_mean_scales_with_temperature_squared():
    members, logits = draw()
    np.testing.assert_allclose(
        mean(4 * members, 4 * logits, 4.0),
        16 * mean(members, logits, 1.0),
        rtol=1e-5,
    )


def test_mean_over_members_of_the_gradient_is_the_gradient_of_the_mean():
    members, logits = draw()
    _, of_mean = value_and_gradient(warm_mean, members, logits)
    each = [value_and_gradient(warm_mean, m[None], logits)[1] for m in members]
    np.testing.assert_allclose(np.mean(each, axis=0), of_mean, atol=2e-6)
    values = np.mean([warm_mean(m[None], logits) for m in members], axis=0)
    assert (values > warm_mean(members, logits)).all()  # the values do differ


def test_mean_takes_impossible_classes():
    members, logits = draw()
    kept = [0, 2, 3, 4]
    expected = warm_mean(members[..., kept], logits[:, kept])
    members[..., 1] = -np.inf
    values, gradient = value_and_gradient(warm_mean, members, logits)
    chex.assert_tree_all_finite((values, gradient))  # 0 log 0 = 0
    logits[:, 1] = -np.inf
    values, gradient = value_and_gradient(warm_mean, members, logits)
    np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-6)
    chex.assert_tree_all_finite(gradient)


def test_mean_of_saturated_logits_stays_in_log_space():
    members = np.array([[[1e3, 0.0]], [[1e3, 0.0]]])
    logits = np.array([[-1e3, 0.0]])
    values, gradient = value_and_gradient(
        lambda m, x: losses.mean_distillation(m, x, 1.0), members, logits
    )
    np.testing.assert_allclose(values, [1e3])
    np.testing.assert_allclose(gradient, [[-1.0, 1.0]])


# The Dirichlet


@pytest.mark.parametrize("C", [2, 50])
@pytest.mark.parametrize("scale", [1.0, 4.0])
@pytest.mark.parametrize("spread", [0.03, 0.3, 2.0])
def test_dirichlet_matches_scipy(C, scale, spread):
    members, logits = draw(N=8, C=C, scale=scale, spread=spread)
    values, gradient = value_and_gradient(
        losses.dirichlet_distillation, members, logits
    )
    expected = reference_dirichlet(members, logits)
    np.testing.assert_allclose(values, expected, rtol=1e-4)
    expected = reference_dirichlet_gradient(members, logits)
    size = np.abs(expected).max(-1, keepdims=True)
    # Where student and target nearly agree the gradient is a small difference.
    np.testing.assert_allclose(gradient / size, expected / size, atol=1e-4)


def test_dirichlet_precision_is_clipped_from_above():
    rng = np.random.default_rng(0)
    _, logits = draw()
    members = logits + 1e-3 * rng.normal(size=(4, 6, 5)).astype(np.float32)
    _, precision = reference_target(members)
    assert MAX_PRECISION == 1e4
    assert (precision == 1e4).all()
    np.testing.assert_allclose(
        dirichlet(members, logits),
        reference_dirichlet(members, logits),
        rtol=1e-4,
    )


@pytest.mark.parametrize("M", [1, 3])
def test_dirichlet_is_finite_when_all_members_agree(M):
    _, logits = draw()
    members = np.broadcast_to(logits, (M, *logits.shape))
    values, gradient = value_and_gradient(
        losses.dirichlet_distillation, members, logits
    )
    np.testing.assert_allclose(values, reference_dirichlet(members, logits), rtol=1e-4)
    chex.assert_tree_all_finite(gradient)


def test_dirichlet_is_zero_with_zero_gradient_at_its_target():
    members, _ = draw(N=8, C=10)
    center, precision = reference_target(members)
    logits = np.log(center * precision[:, None])
    values, gradient = value_and_gradient(
        losses.dirichlet_distillation, members, logits
    )
    np.testing.assert_allclose(values, np.zeros(8), atol=1e-6)
    np.testing.assert_allclose(gradient, np.zeros((8, 10)), atol=1e-6)


@pytest.mark.parametrize("size", [20.0, 100.0, 1e3])
def test_dirichlet_is_finite_for_large_logits(size):
    rng = np.random.default_rng(0)
    signs = rng.choice([-1.0, 0.0, 1.0], size=(4, 64, 5))
    members = size * signs[:3]
    logits = size * signs[3]
    for student, teacher in ((logits, members), (logits, members / size)):
        values, gradient = value_and_gradient(
            losses.dirichlet_distillation, teacher, student
        )
        chex.assert_tree_all_finite((values, gradient))
        assert (values >= 0).all()


def test_dirichlet_of_a_large_student_grows_linearly():
    # One logit l runs away, the others stay: log-gammas and digammas combine to a
    # divergence that is linear in l, with slope sum of target over the other classes.
    members, _ = draw(N=1, C=4)
    center, precision = reference_target(members)
    b = center[0] * precision[0] + 1
    slope = b[1:].sum() / precision[0]

    @jax.jit
    @jax.value_and_grad
    def along(size):
        logits = jnp.zeros((1, 4)).at[0, 0].set(size)
        return losses.dirichlet_distillation(members, logits)[0]

    for size in (30.0, 300.0, 1e3):
        np.testing.assert_allclose(along(size)[1], slope, rtol=1e-5)
    rise = along(1e3)[0] - along(500.0)[0]
    np.testing.assert_allclose(rise, 500 * slope, rtol=1e-5)


def test_dirichlet_of_a_sharp_target_tends_to_the_divergence_of_the_means():
    members, _ = draw(N=6, C=5, scale=1.0)
    members = np.broadcast_to(members[:1], members.shape)  # agreeing: precision 1e4
    student = np.roll(members[0], 1, axis=-1)
    logits = student + np.log(1e4) - np.log(np.exp(student).sum(-1, keepdims=True))
    p, q = (softmax(x.astype(np.float64)) for x in (members[0], student))
    expected = (p * np.log(p / q)).sum(-1)
    # What is left is of the order of classes / precision.
    np.testing.assert_allclose(dirichlet(members, logits), expected, atol=5e-3)


def test_rests_of_lgamma_and_digamma_match_scipy():
    x = np.concatenate([np.linspace(1, 10, 200), np.geomspace(10, 1e6, 50)])
    log_x = np.log(x)
    found = _lgamma_rest(jnp.asarray(log_x, jnp.float32))
    np.testing.assert_allclose(found, gammaln(x) - x * log_x + x, rtol=1e-6, atol=1e-6)
    found = _digamma_rest(jnp.asarray(log_x, jnp.float32))
    np.testing.assert_allclose(found, x * (log_x - digamma(x)), rtol=2e-6)
    far = jnp.float32([50, 500, 5000])
    np.testing.assert_allclose(_digamma_rest(far), [0.5, 0.5, 0.5], rtol=1e-6)
    expected = (np.log(2 * np.pi) - far) / 2
    np.testing.assert_allclose(_lgamma_rest(far), expected, rtol=1e-6)


def test_the_convention_of_divergence():
    """KL(softmax(3, 1, 0) || softmax(1, 2, 3)): the first one's probabilities weigh."""
    logits = jnp.array([[3.0, 1, 0], [1, 2, 3]])
    found = divergence(*jax.nn.log_softmax(logits))
    assert found == pytest.approx(1.685124, abs=1e-6)
    assert found / 3 == pytest.approx(0.561708, abs=1e-6)


def test_divergence_where_a_probability_is_0():
    teacher = jnp.array([0.0, -jnp.inf])
    assert divergence(teacher, jnp.log(jnp.array([0.5, 0.5]))) == pytest.approx(
        np.log(2)
    )
