"""AdamW, the mean of several batches, and sharpness-aware steps."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ltjax.config import AdamW, Config, CosineThroughout, Sam, Sgd, Swa, limits
from ltjax.losses import cross_entropy
from ltjax.mistake import Mistake
from ltjax.representation import accumulation, schedule, sharpness, step

pytestmark = pytest.mark.usefixtures("compiled_once")

RNG = np.random.default_rng(0)
KEY = jax.random.key(0)
PARAMS = {
    "block": {"kernel": RNG.normal(size=(4, 3)), "bias": RNG.normal(size=3)},
    "pos_embed": RNG.normal(size=(1, 2, 3)),
    "head": {"kernel": RNG.normal(size=(2, 3, 5)), "bias": RNG.normal(size=(2, 5))},
}
PARAMS = jax.tree.map(np.float32, PARAMS)
GRADIENTS = [
    jax.tree.map(lambda leaf: np.float32(RNG.normal(size=leaf.shape)), PARAMS)
    for _ in range(8)
]


def test_rates_at_the_epochs_of_the_release():
    optim = AdamW(lr=2.5e-4, epochs=1200, warmup_epochs=5, schedule=CosineThroughout())
    rate, _ = optim.make(10)
    known = {
        **{0: 1e-6, 1: 5.08e-5, 2.5: 1.255e-4, 5: 2.499897e-4},
        **{600: 1.3e-4, 1100: 1.408889e-5, 1199: 1.0000411e-5},
    }
    for epoch, wanted in known.items():
        np.testing.assert_allclose(rate(round(10 * epoch)), wanted, rtol=1e-5)


def test_adamw_is_that_of_pytorch_with_decay_of_matrices_only():
    torch = pytest.importorskip("torch")
    leaves = jax.tree.leaves_with_path(PARAMS)
    peers = [torch.tensor(leaf, requires_grad=True) for _, leaf in leaves]
    matrices = [path[-1].key == "kernel" for path, _ in leaves]
    groups = [
        {
            "params": [peer for peer, of in zip(peers, matrices) if of == kind],
            "weight_decay": 0.05 if kind else 0.0,
        }
        for kind in (True, False)
    ]
    theirs = torch.optim.AdamW(groups, lr=0.01, betas=(0.9, 0.99), eps=1e-8)
    tx = schedule.adamw(lambda count: 0.01, (0.9, 0.99), 1e-8, 0.05)
    params, state = PARAMS, tx.init(PARAMS)
    update = jax.jit(tx.update)
    for gradients in GRADIENTS:
        for peer, gradient in zip(peers, jax.tree.leaves(gradients)):
            peer.grad = torch.tensor(gradient)
        theirs.step()
        updates, state = update(gradients, state, params)
        params = optax.apply_updates(params, updates)
    for leaf, peer in zip(jax.tree.leaves(params), peers):
        np.testing.assert_allclose(leaf, peer.detach().numpy(), rtol=2e-6, atol=1e-6)


def test_several_batches_are_one_update_of_their_mean_gradient():
    rate = optax.linear_schedule(0.1, 0.0, 8)
    tx = accumulation.over(optax.sgd(accumulation.of_updates(rate, 4)), 4)
    params, state = PARAMS, tx.init(PARAMS)
    seen = []
    for gradients in GRADIENTS:
        updates, state = jax.jit(tx.update)(gradients, state, params)
        params = optax.apply_updates(params, updates)
        seen.append(params)
    for wanted in seen[:3]:
        jax.tree.map(np.testing.assert_array_equal, wanted, PARAMS)
    mean = [jax.tree.map(lambda *g: sum(g) / 4, *GRADIENTS[i : i + 4]) for i in (0, 4)]
    # The rate of an update is that of its first batch: steps 0 and 4.
    wanted = jax.tree.map(lambda p, g, h: p - 0.1 * g - 0.05 * h, PARAMS, *mean)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), params, wanted
    )
    assert accumulation.over(tx, 1) is tx


X, Y = RNG.normal(size=(6, 4)).astype(np.float32), RNG.integers(0, 3, 6)


def linear(variables, image, train, rngs, mutable):
    return image @ variables["params"]["kernel"], {}


def gradient_of(kernel):
    logits = X.astype(np.float64) @ kernel
    probs = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return X.T.astype(np.float64) @ (probs - np.eye(3)[Y]) / len(X)


def test_sharpness_aware_steps_match_numpy():
    tx = sharpness.sam(
        schedule.sgd(lambda step: 0.1, 0.9, 0.02, nesterov=False),
        sharpness.by_epoch((0.3, 0.8), (1,), 2),
    )
    kernel = RNG.normal(size=(4, 3))
    params = {"kernel": np.float32(kernel)}
    advance = jax.jit(step.make_step(linear, cross_entropy, tx))
    state, velocity = step.init({"params": params}, tx), 0.0
    for number in range(4):
        slope = gradient_of(kernel)
        rho = 0.3 if number < 2 else 0.8
        uphill = kernel + rho * slope / (np.sqrt((slope**2).sum()) + 1e-12)
        velocity = 0.9 * velocity + gradient_of(uphill) + 0.02 * kernel
        kernel = kernel - 0.1 * velocity
        state, metrics = advance(KEY, state, {"image": X, "label": Y})
        assert metrics["finite"]
    np.testing.assert_allclose(state.params["kernel"], kernel, rtol=1e-5)


def test_no_gradient_is_no_way_uphill():
    tx = sharpness.sam(optax.sgd(0.1), 0.5)
    zeros = jax.tree.map(jnp.zeros_like, PARAMS)
    seen = []

    def again(params, number):
        seen.append(params)
        return zeros

    updates, _ = tx.update(zeros, tx.init(PARAMS), PARAMS, grad_fn=again)
    jax.tree.map(np.testing.assert_array_equal, updates, zeros)
    jax.tree.map(np.testing.assert_array_equal, seen[0], PARAMS)


def test_the_record_makes_them():
    rate, tx = Sam(lr=0.1, warmup_epochs=0, epochs=10).make(3)
    plain, _ = Sgd(lr=0.1, warmup_epochs=0, epochs=10).make(3)
    assert rate(7) == plain(7)
    assert isinstance(tx, optax.GradientTransformationExtraArgs)


@pytest.mark.parametrize(
    ("optim", "swa", "words"),
    [
        (AdamW(), Swa(), r"swa\.lr is 0\.02; with AdamW it must be at most optim\.lr"),
        (Sam(rho_epochs=(3,)), Swa(), r"optim\.rho_epochs is \(3,\); it must have one"),
        (
            Sam(rho=(0.1, 0.2, 0.3), rho_epochs=(5, 3)),
            Swa(),
            r"optim\.rho_epochs is \(5, 3\); they must rise",
        ),
        (Sam(rho=()), Swa(), r"optim\.rho is \(\); it must be some numbers above 0"),
        (AdamW(accumulate=0), Swa(lr=1e-4), r"optim\.accumulate is 0; it must be"),
    ],
)
def test_mistakes(optim, swa, words):
    config = dataclasses.replace(Config(), optim=optim, swa=swa)
    with pytest.raises(Mistake, match=words):
        limits.check(config)
