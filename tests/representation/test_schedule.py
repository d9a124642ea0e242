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


def test_sgd_equals_that_of_torch():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    start, grads = rng.normal(size=5), rng.normal(size=(6, 5))
    rate = schedule.to_zero(0.3, 6, 2)

    weight = torch.nn.Parameter(torch.tensor(start))
    peer = torch.optim.SGD(
        [weight], lr=1.0, momentum=0.9, nesterov=True, weight_decay=0.05
    )
    tx = schedule.sgd(rate, momentum=0.9, weight_decay=0.05)
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
