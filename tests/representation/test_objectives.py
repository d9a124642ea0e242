"""What stage one minimises, against the losses called by hand."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ltjax.config import CrossEntropy, Iif, Mdcs, Ride, Shike
from ltjax.losses import cross_entropy, experts, frequency_adjusted
from ltjax.representation.objective import Task

pytestmark = pytest.mark.usefixtures("compiled_once")

RNG = np.random.default_rng(0)
COUNTS = np.array([60, 20, 5, 2])
LABELS = RNG.integers(0, 4, 6)
BATCH = {"label": LABELS}
LOGITS = (4 * RNG.normal(size=(12, 2, 4))).astype(np.float32)
WEAK, STRONG = LOGITS[:6], LOGITS[6:]
STEPS = 3  # of an epoch


def of(kind=None):
    made = (kind or CrossEntropy()).make(Task(COUNTS, STEPS, 10))

    @jax.jit
    def of_batch(logits, batch, step):
        value, judged, note = made.loss(logits, batch, (), step)
        assert note == ()
        return value, judged

    return of_batch


def test_of_one_network_it_is_the_mean_cross_entropy():
    value, judged = of()(WEAK[:, 0], BATCH, 0)
    np.testing.assert_allclose(value, cross_entropy(WEAK[:, 0], LABELS).mean())
    np.testing.assert_array_equal(judged, WEAK[:, 0])


def test_cross_entropies_of_experts_are_summed():
    value, judged = of()(WEAK, BATCH, 0)
    log_probs = np.float64(WEAK) - np.log(np.exp(np.float64(WEAK)).sum(-1))[..., None]
    wanted = -log_probs[np.arange(6), :, LABELS].sum(1).mean()
    np.testing.assert_allclose(value, wanted, rtol=1e-6)
    np.testing.assert_allclose(judged, WEAK.mean(1), rtol=1e-6, atol=1e-6)


def ride_of(chosen, epoch):
    settings = dataclasses.asdict(chosen)
    del settings["teacher"], settings["repeated"]
    return experts.ride(WEAK, LABELS, COUNTS, epoch, **settings)


@pytest.mark.parametrize(
    ("step", "epoch"), [(0, 1), (STEPS - 1, 1), (STEPS, 2), (2 * STEPS, 3)]
)
def test_ride_knows_the_epoch(step, epoch):
    chosen = Ride(diversity=-0.2, reweight_factor=0.5, reweight_epoch=1)
    value, judged = of(chosen)(WEAK, BATCH, jnp.int32(step))
    wanted = ride_of(chosen, epoch)
    np.testing.assert_allclose(value, wanted, rtol=1e-6)
    np.testing.assert_allclose(judged, WEAK.mean(1), rtol=1e-6, atol=1e-6)


def test_ride_may_never_reweight():
    never = of(Ride(reweight_epoch=None))
    late = of(Ride(reweight_epoch=1))
    assert never(WEAK, BATCH, 0)[0] == never(WEAK, BATCH, 10**6)[0]
    assert late(WEAK, BATCH, 0)[0] != late(WEAK, BATCH, STEPS)[0]


@pytest.mark.parametrize(("repeated", "times"), [(True, 2), (False, 1)])
def test_ride_is_distilled_where_the_batch_has_a_teacher(repeated, times):
    """Of three experts; the student has two."""
    chosen = Ride(reweight_epoch=1, repeated=repeated)
    teacher = (4 * RNG.normal(size=(6, 3, 4))).astype(np.float32)
    batch = {**BATCH, "teacher": teacher}
    value, judged = of(chosen)(WEAK, batch, STEPS)

    log_p, log_q = (
        z - np.log(np.exp(z).sum(-1, keepdims=True))
        for z in (np.float64(logits).mean(1) / 1.5 for logits in (teacher, WEAK))
    )
    apart = (np.exp(log_p) * (log_p - log_q)).sum(-1).mean()
    wanted = times * (ride_of(chosen, 2) + 1.5**2 * apart)
    np.testing.assert_allclose(value, wanted, rtol=1e-6)
    np.testing.assert_allclose(judged, WEAK.mean(1), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("detached", [False, True])
def test_shike_may_keep_the_gradient_out_of_its_teachers(detached):
    loss = of(Shike(detached=detached))
    grads, wanted = (
        jax.grad(function)(WEAK)
        for function in (
            lambda logits: loss(logits, BATCH, 0)[0],
            lambda logits: experts.shike(logits, LABELS, detached=detached),
        )
    )
    np.testing.assert_allclose(grads, wanted, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("epoch", [1, 2, 9])
def test_mdcs_takes_weak_views_and_then_strong_ones(epoch):
    chosen = Mdcs(scales=(0.0, 2.0), consistency=0.9, ramp_epochs=4)
    loss = of(chosen)
    value, judged = loss(LOGITS, BATCH, STEPS * (epoch - 1))
    settings = dataclasses.asdict(chosen)
    wanted = experts.mdcs(WEAK, STRONG, LABELS, COUNTS, epoch, **settings)
    np.testing.assert_allclose(value, wanted, rtol=1e-6)
    np.testing.assert_allclose(judged, WEAK.mean(1), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", [Ride(), Shike(), Mdcs(scales=(1.0,))], ids=repr)
def test_one_expert_is_enough(kind):
    logits = LOGITS[:, :1] if isinstance(kind, Mdcs) else WEAK[:, :1]
    value, grads = jax.value_and_grad(lambda z: of(kind)(z, BATCH, 600)[0])(logits)
    assert np.isfinite(value)
    assert np.isfinite(grads).all()


def mixed(kind, batch, key=0):
    made = kind.make(Task(COUNTS, STEPS, 10))
    return made, made.mix(jax.random.key(key), batch, 0)


def test_mixed_images_have_mixed_labels():
    images = RNG.integers(0, 256, (6, 4, 4, 3), np.uint8)
    made, seen = mixed(
        CrossEntropy(mixup=0.4, smoothing=0.1), {**BATCH, "image": images}
    )
    lam = np.float64(seen["image"] - images[::-1]) / (
        images.astype(float) - images[::-1]
    )
    lam = np.nanmedian(lam[np.isfinite(lam)])
    hot = 0.9 * np.eye(4)[LABELS] + 0.025
    shares = lam * hot + (1 - lam) * hot[::-1]
    np.testing.assert_allclose(seen["targets"], shares, atol=1e-4)
    log_probs = jax.nn.log_softmax(WEAK[:, 0])
    value, judged, _ = made.loss(WEAK[:, 0], seen, (), 0)
    np.testing.assert_allclose(value, -(shares * log_probs).sum(1).mean(), rtol=1e-4)
    np.testing.assert_array_equal(judged, WEAK[:, 0])
    value, judged, _ = made.loss(WEAK, seen, (), 0)
    every = -(shares[:, None] * jax.nn.log_softmax(WEAK)).sum(-1)
    np.testing.assert_allclose(value, every.sum(1).mean(), rtol=1e-4)
    np.testing.assert_allclose(judged, WEAK.mean(1), rtol=1e-6, atol=1e-6)


def test_smoothing_alone_mixes_nothing():
    images = RNG.integers(0, 256, (6, 4, 4, 3), np.uint8)
    _, seen = mixed(CrossEntropy(smoothing=0.2), {**BATCH, "image": images})
    np.testing.assert_array_equal(seen["image"], images)
    np.testing.assert_allclose(seen["targets"], 0.8 * np.eye(4)[LABELS] + 0.05, 1e-5)


def test_only_smoothed_labels_are_not_plain():
    assert CrossEntropy().plain
    assert CrossEntropy(mixup=0.2).plain
    assert not CrossEntropy(smoothing=0.1).plain


def test_inverse_frequency_is_added_to_what_is_minimised():
    found = of(Iif(variant="gombit"))
    wanted = frequency_adjusted(WEAK[:, 0], LABELS, COUNTS, "gombit").mean()
    value, judged = found(WEAK[:, 0], BATCH, 0)
    np.testing.assert_allclose(value, wanted, rtol=1e-6)
    np.testing.assert_array_equal(judged, WEAK[:, 0])
    value, judged = found(WEAK, BATCH, 0)
    parts = [
        frequency_adjusted(WEAK[:, expert], LABELS, COUNTS, "gombit").mean()
        for expert in range(2)
    ]
    np.testing.assert_allclose(value, sum(parts), rtol=1e-5)
    np.testing.assert_allclose(judged, WEAK.mean(1), rtol=1e-6, atol=1e-6)
