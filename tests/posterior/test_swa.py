import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ltjax.posterior import swa

update = jax.jit(swa.update)


def snapshots(steps, dtype=np.float32):
    rng = np.random.default_rng(0)
    return {
        "kernel": rng.normal(size=(steps, 3, 2)).astype(dtype),
        "scale": (1 + 1e-4 * rng.normal(size=(steps, 5))).astype(dtype),
    }


def averaged(xs):
    first = jax.tree.map(lambda x: x[0], xs)
    state = swa.init(first)
    for step in range(len(xs["scale"])):
        state = update(state, jax.tree.map(lambda x, step=step: x[step], xs))
    return state


@pytest.mark.parametrize("steps", [1, 2, 30])
def test_mean_matches_numpy(steps):
    xs = snapshots(steps)
    state = averaged(xs)
    assert state.count == steps
    expected = jax.tree.map(lambda x: x.astype(np.float64).mean(0), xs)
    # A few roundings of numbers up to 4: half a unit in the last place is 1e-7.
    chex.assert_trees_all_close(state.mean, expected, rtol=0, atol=5e-7)


def test_first_snapshot_is_the_mean():
    xs = snapshots(1)
    chex.assert_trees_all_equal(averaged(xs).mean, jax.tree.map(lambda x: x[0], xs))


def test_init_uses_shapes_only():
    nan = {"w": jnp.full((2, 3), jnp.nan), "b": np.full(4, np.nan)}
    state = swa.init(nan)
    assert state.count == 0
    assert state.count.dtype == jnp.int32
    chex.assert_trees_all_equal(state.mean, {"w": jnp.zeros((2, 3)), "b": jnp.zeros(4)})
    chex.assert_trees_all_equal(state, swa.init(jax.eval_shape(lambda: nan)))


def test_low_precision_weights_are_averaged_in_float32():
    xs = snapshots(300, jnp.bfloat16)
    state = averaged(xs)
    chex.assert_tree_all_finite(state.mean)
    for mean, x in zip(jax.tree.leaves(state.mean), jax.tree.leaves(xs)):
        assert mean.dtype == jnp.float32
        # bfloat16 alone would be off by 4e-3 at 1.
        np.testing.assert_allclose(mean, x.astype(np.float64).mean(0), atol=2e-6)


def test_scan_and_vmap_equal_the_loop():
    xs = snapshots(6)
    looped = averaged(xs)
    empty = swa.init(jax.tree.map(lambda x: x[0], xs))
    scanned, _ = jax.lax.scan(lambda s, x: (swa.update(s, x), None), empty, xs)
    chex.assert_trees_all_close(scanned, looped, rtol=1e-6)
    stacked = jax.tree.map(lambda x: jnp.stack([x, x]), looped)
    new = jax.tree.map(lambda x: jnp.stack([x[0], x[3]]), xs)
    both = jax.vmap(swa.update)(stacked, new)
    for i, step in enumerate((0, 3)):
        alone = update(looped, jax.tree.map(lambda x, step=step: x[step], xs))
        chex.assert_trees_all_close(
            jax.tree.map(lambda x, i=i: x[i], both), alone, rtol=1e-6
        )


def test_update_is_traced_once():
    chex.clear_trace_counter()
    step = jax.jit(chex.assert_max_traces(swa.update, 1), donate_argnums=0)
    xs = snapshots(4)
    state = swa.init(jax.tree.map(lambda x: x[0], xs))
    for i in range(4):
        state = step(state, jax.tree.map(lambda x, i=i: x[i], xs))
    assert state.count == 4


def test_devices_agree_with_one():
    xs = snapshots(2)
    one, two = (jax.tree.map(lambda x, i=i: jnp.asarray(x[i]), xs) for i in (0, 1))
    expected = update(update(swa.init(one), one), two)

    pair = jax.pmap(swa.init)(jax.tree.map(lambda x: jnp.stack([x, x]), one))
    for new in (one, two):
        both = jax.tree.map(lambda x: jnp.stack([x, x]), new)
        pair = jax.pmap(swa.update)(pair, both)
    for i in range(2):
        chex.assert_trees_all_close(
            jax.tree.map(lambda x, i=i: x[i], pair), expected, rtol=1e-6
        )

    mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    everywhere = jax.NamedSharding(mesh, jax.P())
    state = jax.device_put(swa.init(one), everywhere)
    for new in (one, two):
        state = update(state, jax.device_put(new, everywhere))
    assert state.mean["scale"].sharding.is_equivalent_to(everywhere, 1)
    chex.assert_trees_all_close(state, expected, rtol=1e-6)


def test_mean_matches_torch():
    torch = pytest.importorskip("torch")
    xs = snapshots(9)["kernel"]
    model = torch.nn.Linear(2, 3, bias=False)
    average = torch.optim.swa_utils.AveragedModel(model)
    state = swa.init({"w": xs[0]})
    for x in xs:
        with torch.no_grad():
            model.weight.copy_(torch.tensor(x))
        average.update_parameters(model)
        state = update(state, {"w": x})
    assert int(average.n_averaged) == state.count
    theirs = average.module.weight.detach().numpy()
    np.testing.assert_allclose(state.mean["w"], theirs, rtol=0, atol=5e-7)
