"""Each loss against its equations in float64, and its gradient against differences.

In the references `held` are the logits of what passes no gradient: differences are
taken with them as they were.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ltjax import losses
from ltjax.data.longtail import exponential_counts
from ltjax.losses import experts
from ltjax.losses.margin import margins

COUNTS = np.array([300, 90, 31, 4, 1])
CIFAR = exponential_counts(100, 500, 100)
SCALES = (-0.5, 1.0, 2.5)

pytestmark = pytest.mark.usefixtures("compiled_once")


def draw(seed=0, B=6, E=3, C=5, size=4.0):
    """Logits of two views and labels; the label is often the largest logit."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, C, B)
    views = rng.normal(scale=size, size=(2, B, E, C))
    views += size * np.eye(C)[labels][:, None]
    return *views.astype(np.float32), labels


def log_softmax(x):
    x = np.asarray(x, np.float64)
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def divergence(log_q, log_p):
    return (np.exp(log_q) * (log_q - log_p)).sum(-1)


def cross_entropy(logits, labels):
    return -log_softmax(logits)[np.arange(len(labels)), labels]


def ride(
    logits,
    held,
    labels,
    counts=COUNTS,
    late=False,
    diversity=-0.45,
    factor=0.05,
    collaborative=False,
):
    present = counts > 0
    margin = np.where(present, counts, counts[present].min()) ** -0.25
    margin *= 0.5 / margin.max()
    weight = np.divide(1e-4, 1 - 0.9999**counts, where=present, out=0.0 * counts)
    weight *= len(counts) / weight.sum()
    psi = factor * len(counts) * counts / counts.sum() + 1 - factor
    heat = psi / psi.max()
    if not late:
        weight, heat = np.ones(len(counts)), np.ones(len(counts))
    one_hot = np.eye(len(counts))[labels]
    total = 0
    for i in range(logits.shape[1]):
        z = logits.mean(1) if collaborative else logits[:, i]
        loss = cross_entropy(z - 30 * margin[labels][:, None] * one_hot, labels)
        total += (weight[labels] * loss).sum() / weight[labels].sum()
        teacher = log_softmax(held.mean(1) / heat)
        apart = divergence(teacher, log_softmax(logits[:, i] / heat)).mean()
        total += diversity * heat.mean() ** 2 * apart
    return total


def shike(logits, held, labels):
    rows = np.arange(len(labels))
    B, E, C = logits.shape
    mean = held.mean(1)
    mean[rows, labels] = -30
    hardest = mean.argmax(1)
    reformed = held.max(1)
    reformed[rows, hardest] = held.mean(1)[rows, hardest]
    reformed[rows, labels] = 0
    total = 0
    for i in range(E):
        student = logits[:, i].copy()
        student[rows, labels] = -30
        total += cross_entropy(logits[:, i], labels).mean()
        agreement = divergence(log_softmax(reformed), log_softmax(student))
        total += 10 * agreement.sum() / (B * C)
        for j in set(range(E)) - {i}:
            peer = divergence(log_softmax(held[:, j]), log_softmax(logits[:, i]))
            total += peer.sum() / (B * C)
    return total


def shike_retrain(logits, held, labels, counts=COUNTS):
    shifted = logits + np.log(counts)
    experts = range(logits.shape[1])
    return sum(cross_entropy(shifted[:, i], labels).mean() for i in experts)


def mdcs(views, held, labels, epoch=7, counts=COUNTS, scales=SCALES):
    """Views [2, B, E, C], weak and strong; with the small number that is added."""
    shift = np.log(counts[None] ** np.array(scales)[:, None] + 1e-9)
    (weak, strong), (teacher, _) = views + shift, held + shift
    total = 0
    for i in range(len(scales)):
        both = np.concatenate([weak[:, i], strong[:, i]])
        total += cross_entropy(both, np.tile(labels, 2)).mean()
        confident = teacher[:, i].argmax(-1) == labels
        if confident.any():
            gap = divergence(log_softmax(teacher[:, i]), log_softmax(strong[:, i]))
            total += 0.6 * min(epoch / 20, 1) * gap[confident].mean()
    return total


def views_of(draw):
    """Both views of a draw in one array, [2, B, E, C], and the labels."""
    weak, strong, labels = draw
    return np.stack([weak, strong]), labels


def both_views(views, labels, counts, epoch, consistency=0.6, scales=SCALES):
    return experts.mdcs(
        *views, labels, counts, epoch, scales=scales, consistency=consistency
    )


def with_gradient(loss, static=()):
    """Value and gradient of the loss, compiled once for all tests of equal shapes."""
    return jax.jit(jax.value_and_grad(loss), static_argnames=static)


RIDE = with_gradient(experts.ride, ("collaborative", "reweight_epoch", "temperatures"))
RELEASED = with_gradient(experts.ride, ("diversity",))
SHIKE = with_gradient(experts.shike, ("detached",))
SHIKE_RETRAIN = with_gradient(experts.shike_retrain)
MDCS = with_gradient(both_views, ("scales",))
consensus = jax.jit(experts.consensus)
temperatures = jax.jit(experts.temperatures)
scaled_log_prior = jax.jit(experts.scaled_log_prior, static_argnums=1)


def differences(reference, logits, held=None, step=1e-5):
    """Gradient of reference(logits, held) by central differences.

    Without `held` nothing is held: both arguments move.
    """
    logits = np.asarray(logits, np.float64)
    gradient = np.zeros_like(logits)
    for index in np.ndindex(logits.shape):
        ends = []
        for sign in (1, -1):
            moved = logits.copy()
            moved[index] += sign * step
            ends.append(reference(moved, moved.copy() if held is None else held))
        gradient[index] = (ends[0] - ends[1]) / (2 * step)
    return gradient


def assert_equal_with_gradient(found, reference, logits, detached=True):
    """Value and gradient are those of the reference at the logits."""
    value, gradient = found
    wide = np.asarray(logits, np.float64)
    assert value.shape == ()
    assert value.dtype == jnp.float32
    np.testing.assert_allclose(value, reference(wide, wide.copy()), rtol=2e-6)
    wanted = differences(reference, wide, wide if detached else None)
    np.testing.assert_allclose(gradient, wanted, rtol=1e-4, atol=1e-6)


# RIDE


def test_figures_of_ride_on_cifar100():
    ends = np.array([0, 99])
    heat = np.asarray(temperatures(CIFAR, 0.05))
    np.testing.assert_allclose(heat[ends], [1, 0.806711], atol=5e-7)
    np.testing.assert_allclose(heat.mean(), 0.847114, atol=5e-7)
    margin = np.asarray(margins(CIFAR))
    np.testing.assert_allclose(margin[ends], [0.158114, 0.5], atol=5e-7)
    weights = np.asarray(losses.class_balanced_weights(CIFAR, experts.BETA))
    np.testing.assert_allclose(weights[ends], [0.044876, 4.378313], atol=5e-7)


def test_temperatures_without_factor_are_1():
    np.testing.assert_allclose(temperatures(CIFAR, 0.0), np.ones(100), rtol=1e-6)


def test_temperatures_of_the_paper_differ_by_a_shift():
    psi = 0.05 * 100 * CIFAR / CIFAR.sum() + 0.95
    found = experts.paper_temperatures(CIFAR, 0.05)
    np.testing.assert_allclose(found, psi + 1 - psi.max(), rtol=1e-6)


@pytest.mark.parametrize("epoch", [160, 161])
@pytest.mark.parametrize("diversity", [-0.45, 0.2])
@pytest.mark.parametrize("collaborative", [False, True])
def test_ride_equals_its_equation(epoch, diversity, collaborative):
    logits, _, labels = draw()
    reference = functools.partial(
        ride,
        labels=labels,
        late=epoch > 160,
        diversity=diversity,
        collaborative=collaborative,
    )
    found = RIDE(
        logits,
        labels,
        COUNTS,
        epoch,
        diversity=diversity,
        collaborative=collaborative,
    )
    assert_equal_with_gradient(found, reference, logits)


@pytest.mark.parametrize("diversity", [-0.45, 0.0])
def test_the_released_loss_judges_the_mean_without_diversity(diversity):
    logits, _, labels = draw(1)
    reference = functools.partial(
        ride, labels=labels, diversity=diversity, collaborative=diversity == 0
    )
    found = RELEASED(logits, labels, COUNTS, 160, diversity=diversity)
    assert_equal_with_gradient(found, reference, logits)


def test_ride_without_diversity_and_not_collaborative_is_ldam():
    logits, _, labels = draw()
    found, _ = RIDE(logits, labels, COUNTS, 1, diversity=0.0, collaborative=False)
    each = np.broadcast_to(labels[:, None], (6, 3))
    wanted = losses.ldam(logits / 30, each, COUNTS).mean(0).sum()
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_the_temperatures_are_an_argument():
    logits, _, labels = draw()

    def value(temperatures):
        return RIDE(
            logits,
            labels,
            COUNTS,
            170,
            diversity=-0.45,
            collaborative=False,
            reweight_factor=0.3,
            temperatures=temperatures,
        )[0]

    wanted = ride(logits, logits, labels, late=True, factor=0.3)
    assert value(experts.temperatures) == pytest.approx(wanted, rel=2e-6)
    assert value(experts.paper_temperatures) != pytest.approx(wanted, rel=1e-3)


@pytest.mark.parametrize("never", [None, -1])
def test_reweighting_switched_off(never):
    logits, _, labels = draw()
    found, _ = RIDE(
        logits,
        labels,
        COUNTS,
        400,
        diversity=-0.45,
        collaborative=False,
        reweight_epoch=never,
    )
    early, late = (ride(logits, logits, labels, late=late) for late in (False, True))
    assert found == pytest.approx(early, rel=2e-6)
    assert found != pytest.approx(late, rel=1e-3)


def test_one_expert_does_not_differ_from_its_mean():
    logits, _, labels = draw(E=1)
    found = RELEASED(logits, labels, COUNTS, 200, diversity=-0.45)
    assert_equal_with_gradient(
        found,
        lambda x, held: ride(x, held, labels, late=True, diversity=0),
        logits,
    )


def test_labels_of_absent_classes_only_weigh_nothing():
    logits, _, _ = draw()
    labels, counts = np.full(6, 4), np.array([50, 9, 3, 3, 0])
    value, gradient = RIDE(
        logits, labels, counts, 200, diversity=0.0, collaborative=False
    )
    assert value == 0
    np.testing.assert_array_equal(gradient, 0 * logits)


@pytest.mark.parametrize("repeated", [True, False])
def test_distillation_counts_once_for_each_expert(repeated):
    logits, _, labels = draw()
    teacher = draw(5, E=6)[0]

    @jax.jit
    @functools.partial(jax.value_and_grad, argnums=(0, 1))
    def loss(logits, teacher):
        base = experts.ride(logits, labels, COUNTS, 3)
        return experts.distilled(base, logits, teacher, repeated=repeated)

    def reference(logits, held):
        means = (x.astype(np.float64).mean(1) for x in (teacher, logits))
        apart = divergence(*(log_softmax(x / 1.5) for x in means)).mean()
        return (3 if repeated else 1) * (ride(logits, held, labels) + 1.5**2 * apart)

    value, (gradient, passed) = loss(logits, teacher)
    assert_equal_with_gradient((value, gradient), reference, logits)
    np.testing.assert_array_equal(passed, 0 * teacher)


# SHIKE


@pytest.mark.parametrize("detached", [False, True])
@pytest.mark.parametrize("E", [1, 3])
def test_shike_equals_its_equation(E, detached):
    logits, _, labels = draw(2, E=E)
    found = SHIKE(logits, labels, detached=detached)
    assert_equal_with_gradient(
        found, lambda x, held: shike(x, held, labels), logits, detached
    )


def test_what_is_detached_in_shike_matters():
    logits, _, labels = draw(2)
    free, detached = (SHIKE(logits, labels, detached=d)[1] for d in (False, True))
    assert abs(free - detached).max() > 0.01 * abs(free).max()


def test_consensus_of_an_example():
    """Two experts, label 0: class 2 has the largest mean, class 3 the largest logit."""
    logits = np.array([[[9.0, 1, 4, 5], [8, 3, 4, 1]]])
    found = consensus(logits, np.array([0]))
    np.testing.assert_allclose(found, log_softmax([[0, 3, 4, 5]]), rtol=1e-6)


def test_shike_retrain_is_the_balanced_softmax_of_raw_counts():
    logits, _, labels = draw()
    found = SHIKE_RETRAIN(logits, labels, COUNTS)
    assert_equal_with_gradient(
        found, lambda x, held: shike_retrain(x, held, labels), logits
    )


# MDCS


@pytest.mark.parametrize("epoch", [1, 20, 300])
def test_mdcs_equals_its_equation(epoch):
    views, labels = views_of(draw(3))
    found = MDCS(views, labels, COUNTS, epoch)
    assert_equal_with_gradient(
        found, lambda x, held: mdcs(x, held, labels, epoch), views
    )


def test_the_defaults_of_mdcs_are_the_released_settings():
    views, labels = views_of(draw(3))
    found = jax.jit(experts.mdcs)(*views, labels, COUNTS, 7)
    assert found == pytest.approx(mdcs(views, views, labels, 7), rel=2e-6)


def test_the_weak_view_gets_no_gradient_of_the_distillation():
    views, labels = views_of(draw(3))
    with_it, without = (
        MDCS(views, labels, COUNTS, 20, consistency=consistency)[1]
        for consistency in (0.6, 0.0)
    )
    np.testing.assert_array_equal(with_it[0], without[0])
    assert abs(with_it[1] - without[1]).max() > 1e-3


def test_without_confident_images_only_the_cross_entropy_remains():
    views, labels = views_of(draw())
    views[0, np.arange(6), :, labels] = -50
    found, without = (
        MDCS(views, labels, COUNTS, 20, consistency=consistency)
        for consistency in (0.6, 0.0)
    )
    jax.tree.map(np.testing.assert_array_equal, found, without)
    assert np.isfinite(found[1]).all()
    assert found[0] == pytest.approx(mdcs(views, views, labels, 20), rel=2e-6)


def test_one_expert_of_mdcs_without_prior_is_cross_entropy():
    views, labels = views_of(draw(E=1))
    found, _ = MDCS(views, labels, COUNTS, 1, scales=(0.0,), consistency=0.0)
    wanted = cross_entropy(np.concatenate(views)[:, 0], np.tile(labels, 2)).mean()
    assert found == pytest.approx(wanted, rel=1e-6)


def test_the_ramp_of_mdcs():
    found = [float(experts.ramp_up(epoch, 20)) for epoch in (1, 10, 20, 21, 400)]
    np.testing.assert_allclose(found, [0.05, 0.5, 1, 1, 1])


def test_the_scaled_prior_is_that_of_raw_counts_up_to_a_constant():
    shift = np.asarray(scaled_log_prior(CIFAR, SCALES))
    raw = np.log(CIFAR[None] ** np.array(SCALES)[:, None] + 1e-9)
    constant = (shift - raw).mean(1, keepdims=True)
    np.testing.assert_allclose(shift, raw + constant, atol=5e-6)


def test_an_absent_class_is_lowered_under_every_scale():
    shift = np.asarray(scaled_log_prior(np.array([10, 5, 0]), (-0.5, 0.0, 2.5)))
    assert (shift[[0, 2], 2] < -1e3).all()
    np.testing.assert_array_equal(shift[1], 0 * shift[1])


# All, as functions of views, labels and counts; only that of MDCS looks at the second


def of_first(reference, **settings):
    def both(views, labels, counts):
        arguments = {} if reference is shike else {"counts": counts}
        return reference(views[0], views[0].copy(), labels, **arguments, **settings)

    return both


def of_both(views, labels, counts):
    return mdcs(views, views, labels, 20, counts)


EVERY = {
    "ride": (
        lambda x, y, n: experts.ride(x[0], y, n, 200),
        of_first(ride, late=True),
    ),
    "shike": (lambda x, y, n: experts.shike(x[0], y), of_first(shike)),
    "shike_retrain": (
        lambda x, y, n: experts.shike_retrain(x[0], y, n),
        of_first(shike_retrain),
    ),
    "mdcs": (lambda x, y, n: experts.mdcs(*x, y, n, 20), of_both),
}


@pytest.fixture(scope="module", params=EVERY)
def compared(request):
    """A loss with its gradient, compiled, and its reference."""
    loss, reference = EVERY[request.param]
    return with_gradient(loss), reference


def test_extreme_logits(compared):
    loss, reference = compared
    rng = np.random.default_rng(0)
    views = rng.choice([-1e3, -300, 0, 900, 1e3], size=(2, 6, 3, 5))
    views = np.float32(views + rng.normal(size=views.shape))
    labels = rng.integers(0, 5, 6)
    value, gradient = loss(views, labels, COUNTS)
    wanted = reference(np.float64(views), labels, COUNTS)
    np.testing.assert_allclose(value, wanted, rtol=1e-5)
    assert np.isfinite(gradient).all()
    assert abs(gradient).max() > 0


@pytest.mark.parametrize("size", [-1e3, 0, 1e3])
def test_all_logits_equal(compared, size):
    loss, reference = compared
    views, labels = np.full((2, 6, 3, 5), size), np.arange(6) % 5
    value, gradient = loss(np.float32(views), labels, COUNTS)
    np.testing.assert_allclose(value, reference(views, labels, COUNTS), rtol=1e-5)
    assert np.isfinite(gradient).all()


def test_absent_classes(compared):
    """With a prior as if there were no outputs for them."""
    loss, reference = compared
    views, _ = views_of(draw(4))
    labels, counts = np.array([0, 1, 2, 3, 0, 1]), np.array([300, 90, 31, 4, 0])
    value, gradient = loss(views, labels, counts)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()
    views = views.astype(np.float64)
    if reference in (EVERY["shike_retrain"][1], EVERY["mdcs"][1]):
        views, counts = views[..., :4], counts[:4]
    np.testing.assert_allclose(value, reference(views, labels, counts), rtol=1e-5)


def test_logits_of_bfloat16_are_judged_in_float32(compared):
    loss, _ = compared
    views, labels = views_of(draw())
    value, gradient = jax.eval_shape(loss, jnp.bfloat16(views), labels, COUNTS)
    assert value.dtype == jnp.float32
    assert gradient.dtype == jnp.bfloat16


def test_the_order_of_images_does_not_matter(compared):
    loss, _ = compared
    views, labels = views_of(draw())
    order = np.random.default_rng(0).permutation(6)
    value, gradient = loss(views, labels, COUNTS)
    other, moved = loss(views[:, order], labels[order], COUNTS)
    np.testing.assert_allclose(other, value, rtol=1e-6)
    np.testing.assert_allclose(moved, gradient[:, order], rtol=1e-4, atol=1e-7)


def test_shapes_are_checked():
    logits, _, labels = draw()
    with pytest.raises(AssertionError):
        experts.ride(logits, labels[:3], COUNTS, 1)
    with pytest.raises(AssertionError):
        experts.shike(logits[:, 0], labels)
    with pytest.raises(AssertionError):
        experts.mdcs(logits, logits[:, :2], labels, COUNTS, 1)
    with pytest.raises(AssertionError):
        experts.mdcs(logits[:, :2], logits[:, :2], labels, COUNTS, 1)
