"""What stage one minimises, against the losses called by hand."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ltjax import objective
from ltjax.config import Config, Experts, Mdcs, Model, Optim, Ride, Shike
from ltjax.losses import cross_entropy, experts

pytestmark = pytest.mark.usefixtures("compiled_once")

RNG = np.random.default_rng(0)
COUNTS = np.array([60, 20, 5, 2])
LABELS = RNG.integers(0, 4, 6)
LOGITS = (4 * RNG.normal(size=(12, 2, 4))).astype(np.float32)
WEAK, STRONG = LOGITS[:6], LOGITS[6:]
STEPS = 3  # of an epoch


def of(count=2, **optim):
    model = Model(head="cosine", experts=Experts(count=count))
    config = Config(model=model, optim=Optim(**optim))
    return jax.jit(objective.of_config(config, COUNTS, STEPS))


def test_of_one_network_it_is_the_mean_cross_entropy():
    value, judged = of(None)(WEAK[:, 0], LABELS, 0)
    np.testing.assert_allclose(value, cross_entropy(WEAK[:, 0], LABELS).mean())
    np.testing.assert_array_equal(judged, WEAK[:, 0])


def test_cross_entropies_of_experts_are_summed():
    value, judged = of()(WEAK, LABELS, 0)
    log_probs = np.float64(WEAK) - np.log(np.exp(np.float64(WEAK)).sum(-1))[..., None]
    wanted = -log_probs[np.arange(6), :, LABELS].sum(1).mean()
    np.testing.assert_allclose(value, wanted, rtol=1e-6)
    np.testing.assert_allclose(judged, WEAK.mean(1), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("step", "epoch"), [(0, 1), (STEPS - 1, 1), (STEPS, 2), (2 * STEPS, 3)]
)
def test_ride_knows_the_epoch(step, epoch):
    chosen = Ride(diversity=-0.2, reweight_factor=0.5, reweight_epoch=1)
    value, judged = of(loss="ride", ride=chosen)(WEAK, LABELS, jnp.int32(step))
    settings = dataclasses.asdict(chosen)
    wanted = experts.ride(WEAK, LABELS, COUNTS, epoch, **settings)
    np.testing.assert_allclose(value, wanted, rtol=1e-6)
    np.testing.assert_allclose(judged, WEAK.mean(1), rtol=1e-6, atol=1e-6)


def test_ride_may_never_reweight():
    never = of(loss="ride", ride=Ride(reweight_epoch=None))
    late = of(loss="ride", ride=Ride(reweight_epoch=1))
    assert never(WEAK, LABELS, 0)[0] == never(WEAK, LABELS, 10**6)[0]
    assert late(WEAK, LABELS, 0)[0] != late(WEAK, LABELS, STEPS)[0]


@pytest.mark.parametrize("detached", [False, True])
def test_shike_may_keep_the_gradient_out_of_its_teachers(detached):
    loss = of(loss="shike", shike=Shike(detached=detached))
    grads, wanted = (
        jax.grad(function)(WEAK)
        for function in (
            lambda logits: loss(logits, LABELS, 0)[0],
            lambda logits: experts.shike(logits, LABELS, detached=detached),
        )
    )
    np.testing.assert_allclose(grads, wanted, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("epoch", [1, 2, 9])
def test_mdcs_takes_weak_views_and_then_strong_ones(epoch):
    chosen = Mdcs(scales=(0.0, 2.0), consistency=0.9, ramp_epochs=4)
    loss = of(loss="mdcs", mdcs=chosen)
    value, judged = loss(LOGITS, LABELS, STEPS * (epoch - 1))
    settings = dataclasses.asdict(chosen)
    wanted = experts.mdcs(WEAK, STRONG, LABELS, COUNTS, epoch, **settings)
    np.testing.assert_allclose(value, wanted, rtol=1e-6)
    np.testing.assert_allclose(judged, WEAK.mean(1), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("loss", ["ride", "shike", "mdcs"])
def test_one_expert_is_enough(loss):
    run = of(1, loss=loss, mdcs=Mdcs(scales=(1.0,)))
    logits = LOGITS[:, :1] if loss == "mdcs" else WEAK[:, :1]
    value, grads = jax.value_and_grad(lambda z: run(z, LABELS, 600)[0])(logits)
    assert np.isfinite(value)
    assert np.isfinite(grads).all()
