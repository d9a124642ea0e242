import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from ltjax.losses import cross_entropy
from ltjax.models.batch_norm import BatchNorm
from ltjax.representation import objective, schedule, step

RNG = np.random.default_rng(0)
BATCHES = [
    {
        "image": RNG.normal(size=(6, 4)).astype(np.float32),
        "label": RNG.integers(0, 3, 6),
    }
    for _ in range(4)
]
START = {"hidden": RNG.normal(size=(4, 5)), "out": RNG.normal(size=(5, 3))}
PARAMS = jax.tree.map(np.float32, START)
KEY = jax.random.key(7)


def perceptron(variables, image, train, rngs, mutable):
    """A plain function serves as `apply`; it has no batch norm."""
    assert (train, mutable) == (True, ["batch_stats"])
    params = variables["params"]
    return jnp.tanh(image @ params["hidden"]) @ params["out"], {}


def gradient_in_numpy(params, batch):
    """Loss, accuracy and gradient of `perceptron`, by hand in float64."""
    x, labels = batch["image"].astype(np.float64), batch["label"]
    hidden = np.tanh(x @ params["hidden"])
    logits = hidden @ params["out"]
    probs = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    loss = -np.log(probs[np.arange(6), labels]).mean()
    error = (probs - np.eye(3)[labels]) / 6
    back = (error @ params["out"].T) * (1 - hidden**2)
    grads = {"hidden": x.T @ back, "out": hidden.T @ error}
    return loss, (logits.argmax(1) == labels).mean(), grads


def test_steps_match_numpy():
    lr, decay, momentum = [0.1, 0.2, 0.2, 0.05], 0.03, 0.9
    tx = schedule.sgd(lambda step: jnp.array(lr)[step], momentum, decay)
    advance = jax.jit(step.make_step(perceptron, cross_entropy, tx))
    state = step.init({"params": PARAMS}, tx)
    params = jax.tree.map(np.float64, PARAMS)
    velocity = {name: 0.0 for name in params}
    for number, batch in enumerate(BATCHES):
        loss, accuracy, grads = gradient_in_numpy(params, batch)
        for name in params:
            slope = grads[name] + decay * params[name]
            velocity[name] = momentum * velocity[name] + slope
            params[name] -= lr[number] * (slope + momentum * velocity[name])
        state, metrics = advance(KEY, state, batch)
        # The metrics are of the weights before the update, as the NumPy ones.
        np.testing.assert_allclose(metrics["loss"], loss, rtol=1e-5)
        np.testing.assert_allclose(metrics["accuracy"], accuracy, rtol=1e-6)
        assert set(metrics) == {"loss", "accuracy", "finite"}
        chex.assert_trees_all_close(state.params, params, rtol=2e-5, atol=1e-6)
        assert int(state.step) == number + 1
    assert state.batch_stats == {}


def test_steps_are_one_program():
    chex.clear_trace_counter()
    tx = schedule.sgd(schedule.to_zero(0.1, 4, 1), 0.9, 1e-4)
    counted = chex.assert_max_traces(step.make_step(perceptron, cross_entropy, tx), 1)
    advance = jax.jit(counted)
    state = step.init({"params": PARAMS}, tx)
    for batch in BATCHES:
        state, _ = advance(KEY, state, batch)


def test_the_dropout_key_is_a_function_of_key_and_step():
    def noisy(variables, image, train, rngs, mutable):
        noise = jax.random.normal(rngs["dropout"], (len(image), 3))
        return noise + 0 * variables["params"]["bias"][None], {}

    tx = optax.sgd(0.0)
    advance = jax.jit(step.make_step(noisy, lambda logits, _: logits[:, 0], tx))
    state = step.init({"params": {"bias": jnp.zeros(3)}}, tx)
    for number in range(3):
        state, metrics = advance(KEY, state, BATCHES[0])
        noise = jax.random.normal(jax.random.fold_in(KEY, number), (6, 3))
        np.testing.assert_allclose(metrics["loss"], noise[:, 0].mean(), rtol=1e-5)


class Normed(nn.Module):
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x, train=False):
        x = BatchNorm(self.axis_name, name="norm")(x[:, None, None], train)
        return nn.Dense(3)(jnp.tanh(x[:, 0, 0]))


@pytest.fixture(scope="module")
def normed():
    """State, batch and what one plain step makes of them."""
    tx = schedule.sgd(schedule.to_zero(0.1, 4, 1), 0.9, 1e-4)
    state = step.init(Normed().init(jax.random.key(0), BATCHES[0]["image"]), tx)
    advance = jax.jit(step.make_step(Normed().apply, cross_entropy, tx))
    return tx, state, advance(KEY, state, BATCHES[0])


def test_running_statistics_move_by_a_tenth(normed):
    _, _, (state, _) = normed
    image = BATCHES[0]["image"].astype(np.float64)
    stats = state.batch_stats["norm"]
    np.testing.assert_allclose(stats["mean"], 0.1 * image.mean(0), rtol=1e-5)
    np.testing.assert_allclose(stats["var"], 0.9 + 0.1 * image.var(0), rtol=1e-5)


@pytest.mark.parametrize("check_vma", [True, False])
def test_shard_map_equals_one_device(normed, check_vma):
    tx, state, wanted = normed
    mesh = jax.make_mesh((2,), ("batch",), axis_types=(jax.sharding.AxisType.Auto,))
    whole, split = jax.P(), jax.P("batch")
    advance = step.make_step(Normed("batch").apply, cross_entropy, tx, "batch")
    mapped = jax.shard_map(
        advance,
        mesh=mesh,
        in_specs=(whole, whole, split),
        out_specs=whole,
        check_vma=check_vma,
    )
    found = jax.jit(mapped)(KEY, state, BATCHES[0])
    chex.assert_trees_all_close(found, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("what", ["loss", "gradient", "weight", "statistics"])
def test_a_step_that_is_not_finite_is_not_taken(what):
    """Each kind of it alone, where the others are finite."""
    huge = np.float32(3e38)

    def apply(variables, image, train, rngs, mutable):
        w = variables["params"]["w"]
        value = {
            "loss": jax.lax.stop_gradient(jnp.inf) + 0 * w,
            "gradient": jnp.sqrt(jnp.abs(w - 1)) * 0,  # 0 * inf at w = 1
            "weight": -huge * w,  # its update leaves float32
            "statistics": w,
        }[what]
        stats = jnp.inf * w if what == "statistics" else 0.0 * w
        return value[None], {"batch_stats": {"s": stats * w}}

    tx = optax.sgd(10.0)
    advance = jax.jit(step.make_step(apply, lambda logits, _: logits, tx))
    variables = {"params": {"w": np.float32(1)}, "batch_stats": {"s": np.float32(2)}}
    state = step.init(variables, tx)
    batch = {"image": np.zeros((1, 1)), "label": np.zeros(1, int)}
    made = objective.per_example(lambda logits, _: logits)
    grads, metrics, (stats, _) = step.make_gradient(apply, made)(KEY, state, batch)
    assert np.isfinite(metrics["loss"]) == (what != "loss")
    assert np.isfinite(grads["w"]) == (what != "gradient")
    assert np.isfinite(stats["s"]) == (what != "statistics")
    after, metrics = advance(KEY, state, batch)
    assert not metrics["finite"]
    chex.assert_trees_all_equal(after, state)


def test_an_objective_sees_step_and_batch_and_says_which_logits_are_judged():
    """Here step and batch are the loss, and what is judged is always right."""

    def of_batch(logits, batch, step):
        judged = jax.nn.one_hot(batch["label"], 3)
        return batch["more"] + step + 0 * logits.sum(), judged

    tx = optax.sgd(0.1)
    advance = jax.jit(step.of_objective(perceptron, objective.simple(of_batch), tx))
    state = step.init({"params": PARAMS}, tx)
    for number in range(3):
        state, metrics = advance(KEY, state, {**BATCHES[0], "more": 10.0})
        assert (metrics["loss"], metrics["accuracy"]) == (10 + number, 1)


def test_memory_goes_from_step_to_step_but_not_from_one_that_is_not_finite():
    """The mean of what was seen, which the loss reads."""

    def loss(logits, batch, memory, step):
        value = batch["more"] + memory["mean"] + 0 * logits.sum()
        return value, logits, batch["more"]

    def remember(memory, params, note):
        steps = memory["steps"] + 1
        mean = memory["mean"] + (note - memory["mean"]) / steps
        return {"mean": mean, "steps": steps}

    tx = optax.sgd(0.1)
    made = objective.Objective(loss, remember=remember)
    advance = jax.jit(step.of_objective(perceptron, made, tx))
    begin = {"mean": jnp.float32(0), "steps": jnp.int32(0)}
    state = step.init({"params": PARAMS}, tx, begin)
    seen = []
    for more in (1.0, 4.0, 10.0):
        state, metrics = advance(KEY, state, {**BATCHES[0], "more": more})
        assert metrics["loss"] == more + (np.mean(seen) if seen else 0)
        seen.append(more)
        assert state.memory["mean"] == np.mean(seen)
    after, metrics = advance(KEY, state, {**BATCHES[0], "more": np.nan})
    assert not metrics["finite"]
    chex.assert_trees_all_equal(after, state)
