import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ltjax.representation import schedule


def cosine(high, low, progress):
    return low + (high - low) * (1 + np.cos(np.pi * progress)) / 2


def values(rate, steps):
    return np.asarray(jax.jit(jax.vmap(rate))(jnp.arange(steps)))


@pytest.mark.parametrize("warmup", [0, 1, 5])
def test_to_zero_matches_numpy(warmup):
    step = np.arange(40)
    fall = cosine(0.4, 0, np.clip((step - warmup) / (30 - warmup), 0, 1))
    wanted = np.where(step < warmup, 0.4 * (step + 1) / max(warmup, 1), fall)
    found = values(schedule.to_zero(0.4, 30, warmup), 40)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-7)
    assert found[0] == pytest.approx(0.4 if warmup == 0 else 0.4 / warmup)
    assert found[warmup] == pytest.approx(0.4)  # the peak is the end of the warm-up
    assert found[29] > 0  # the last step of 30 still moves
    np.testing.assert_allclose(found[30:], 0, atol=1e-8)


@pytest.mark.parametrize("warmup", [0, 5])
def test_to_constant_matches_numpy(warmup):
    step = np.arange(40)
    fall = cosine(0.4, 0.05, np.clip((step - warmup) / (20 - warmup), 0, 1))
    wanted = np.where(step < warmup, 0.4 * (step + 1) / max(warmup, 1), fall)
    found = values(schedule.to_constant(0.4, 0.05, 20, warmup), 40)
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    assert found[warmup] == pytest.approx(0.4)
    assert found[19] > 0.05
    assert found[20] == pytest.approx(0.05)
    assert (found[20:] == found[20]).all()


def at(rate, epochs):
    return np.asarray(jax.jit(jax.vmap(rate))(jnp.array(list(epochs))))


# Rates at epochs from 0, as the authors' programs have them.
@pytest.mark.parametrize(
    ("rate", "known"),
    [
        (
            schedule.in_steps(0.1, (160, 180), 0.01, 5),  # RIDE, CIFAR-100-LT
            {0: 0.02, 1: 0.04, 4: 0.1, 159: 0.1, 160: 0.001, 180: 1e-5},
        ),
        (
            schedule.in_steps(0.1, (160, 180), 0.01, 20),  # with a teacher
            {0: 0.005, 4: 0.025, 19: 0.1, 20: 0.1, 179: 0.001, 199: 1e-5},
        ),
        (
            schedule.in_steps(0.1, (60, 80), 0.1, 5),  # RIDE, ImageNet-LT
            {0: 0.02, 59: 0.1, 60: 0.01, 80: 0.001},
        ),
        (
            schedule.in_steps(0.1, (200, 320, 380), 0.1, 20),  # MDCS, CIFAR
            {0: 0.005, 9: 0.05, 19: 0.1, 199: 0.1, 200: 0.01, 320: 1e-3, 380: 1e-4},
        ),
        (
            schedule.in_steps(0.01, (10, 20), 0.1, 0),  # MDCS, Places-LT
            {0: 0.01, 9: 0.01, 10: 0.001, 20: 1e-4, 29: 1e-4},
        ),
        (
            schedule.to_zero_from(0.05, 0.15, 180, 5),  # SHIKE, stage one
            {
                **{0: 0.025, 1: 0.05, 2: 0.075, 3: 0.1, 4: 0.125, 5: 0.15},
                **{6: 0.149988, 90: 0.078365},
            },
        ),
        (
            schedule.to_zero_from(0.05, 0.1, 20, 5),  # SHIKE, stage two
            {
                **{0: 0.0375, 1: 0.05, 2: 0.0625, 3: 0.075, 4: 0.0875, 5: 0.1},
                **{6: 0.098907, 7: 0.095677, 8: 0.090451, 9: 0.083457, 10: 0.075},
            },
        ),
    ],
)
def test_rates_of_multi_expert_recipes(rate, known):
    np.testing.assert_allclose(at(rate, known), list(known.values()), atol=5e-7)


def test_rates_by_epoch_are_held():
    rate = schedule.by_epoch(schedule.in_steps(1.0, (2, 3), 0.5, 0), 4)
    np.testing.assert_array_equal(values(rate, 16), np.repeat([1, 1, 0.5, 0.25], 4))


@pytest.mark.parametrize("nesterov", [True, False])
def test_sgd_equals_that_of_torch(nesterov):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    start, grads = rng.normal(size=5), rng.normal(size=(6, 5))
    rate = schedule.to_zero(0.3, 6, 2)

    weight = torch.nn.Parameter(torch.tensor(start))
    peer = torch.optim.SGD(
        [weight], lr=1.0, momentum=0.9, nesterov=nesterov, weight_decay=0.05
    )
    tx = schedule.sgd(rate, 0.9, weight_decay=0.05, nesterov=nesterov)
    update = jax.jit(tx.update)
    params = jnp.asarray(start, jnp.float32)
    opt_state = tx.init(params)
    for step, grad in enumerate(grads):
        updates, opt_state = update(np.float32(grad), opt_state, params)
        params = optax.apply_updates(params, updates)
        peer.param_groups[0]["lr"] = float(rate(step))
        weight.grad = torch.tensor(grad)
        peer.step()
        np.testing.assert_allclose(params, weight.detach().numpy(), rtol=2e-5)
