import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import serialization

from ltjax.posterior import swa, swag

update = jax.jit(swag.update)
sample = jax.jit(swag.sample)
samples = jax.jit(jax.vmap(swag.sample, (0, None, 0)))


def snapshots(steps, spread=1.0, centre=0.0):
    """Weights [steps, ...] of two tensors, with correlations across the tensors."""
    rng = np.random.default_rng(1)
    mixed = rng.normal(size=(steps, 4)) @ rng.normal(size=(4, 4))
    flat = (centre + spread * mixed).astype(np.float32)
    return {"a": flat[:, :2], "b": {"kernel": flat[:, 2:].reshape(steps, 1, 2)}}


def at(tree, index):
    return jax.tree.map(lambda x: x[index], tree)


def collected(xs, rank):
    state = swag.init(at(xs, 0), rank)
    for step in range(len(xs["a"])):
        state = update(state, at(xs, step))
    return state


def flat(tree):
    """Leaves with one leading axis as a float64 matrix [axis, weights]."""
    rows = [np.asarray(x, np.float64) for x in jax.tree.leaves(tree)]
    return np.concatenate([x.reshape(len(x), -1) for x in rows], axis=1)


def covariance(xs, rank):
    """The SWAG covariance of all weights as one vector, from its definition."""
    xs = flat(xs)
    deviations = np.stack([x - xs[: t + 1].mean(0) for t, x in enumerate(xs)])[-rank:]
    low_rank = deviations.T @ deviations / (len(deviations) - 1)
    return (np.diag(xs.var(0)) + low_rank) / 2


def assert_same_bits(tree, other):
    for x, y in zip(jax.tree.leaves(tree), jax.tree.leaves(other), strict=True):
        assert np.asarray(x).tobytes() == np.asarray(y).tobytes()


@pytest.mark.parametrize("spread", [1e-3, 1e-4, 1e-5])
def test_moments_near_one_match_float64(spread):
    rng = np.random.default_rng(0)
    xs = (1 + spread * rng.normal(size=(40, 200))).astype(np.float32)
    state = swag.init({"w": xs[0]}, rank=5)
    for x in xs:
        state = update(state, {"w": x})
    exact = xs.astype(np.float64)
    # Every step rounds the mean by up to 6e-8, of which an early one fades: a walk with
    # a standard deviation of 3.4e-8 sqrt(40 / 3) = 1.2e-7. So a deviation is uncertain
    # by about 1e-7 / spread; E[w^2] - E[w]^2 in float32 by 6e-8 / spread^2.
    np.testing.assert_allclose(state.mean["w"], exact.mean(0), rtol=0, atol=6e-7)
    variance = np.asarray(state.scatter["w"]) / 40
    np.testing.assert_allclose(variance, exact.var(0), rtol=2e-7 / spread)
    assert (variance > 0).all()


def test_mean_is_the_swa_mean():
    xs = snapshots(7)
    average = swa.init(at(xs, 0))
    for step in range(7):
        average = jax.jit(swa.update)(average, at(xs, step))
    state = collected(xs, rank=3)
    assert state.count == average.count == 7
    assert_same_bits(state.mean, average.mean)


@pytest.mark.parametrize("steps", [1, 3, 4, 6, 9])
def test_ring_holds_the_last_deviations(steps):
    rank = 4
    xs = snapshots(steps)
    state = collected(xs, rank)
    found, exact = flat(state.deviations), flat(xs)
    assert found.shape == (rank, 4)
    for step in range(max(0, steps - rank), steps):
        expected = exact[step] - exact[: step + 1].mean(0)
        np.testing.assert_allclose(found[step % rank], expected, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(found[steps:], 0)  # slots still empty
    if steps <= rank:  # the mean already holds the first snapshot
        np.testing.assert_array_equal(found[0], 0)


@pytest.mark.parametrize("scale", [1.0, 0.25])
@pytest.mark.parametrize(("steps", "rank"), [(2, 5), (4, 5), (5, 5), (9, 3)])
def test_draws_have_the_covariance_of_the_definition(steps, rank, scale):
    xs = snapshots(steps)
    state = collected(xs, rank)
    count = 50_000
    keys = jax.random.split(jax.random.key(steps), count)
    draws = flat(samples(keys, state, jnp.full(count, scale)))
    expected = scale * covariance(xs, rank)
    variances = np.diag(expected)
    # Standard error of a sample covariance of normals.
    error = np.sqrt((np.outer(variances, variances) + expected**2) / count)
    assert (np.abs(np.cov(draws.T) - expected) < 5 * error).all()
    centre_error = np.abs(draws.mean(0) - flat(xs).mean(0))
    assert (centre_error < 5 * np.sqrt(variances / count)).all()
    # The test sees noise that is drawn tensor by tensor: across them it is not zero.
    assert (np.abs(expected[:2, 2:]) > 20 * error[:2, 2:]).any()


def test_scale_multiplies_the_covariance():
    state = collected(snapshots(6), rank=3)
    key = jax.random.key(0)
    # Powers of four move the draw by powers of two, exact in float32.
    one = flat(at(sample(key, state, 1.0), None)) - flat(at(state.mean, None))
    for scale in (0.25, 4.0, 16.0):
        draw = sample(jax.random.clone(key), state, scale)
        moved = flat(at(draw, None)) - flat(at(state.mean, None))
        np.testing.assert_allclose(moved, np.sqrt(scale) * one, rtol=0, atol=2e-6)


def signed_zeros(state):
    """The state with means that a sum with 0 would not keep, and infinite spread."""
    mean = {"a": jnp.array([-0.0, 1e-42]), "b": {"kernel": jnp.array([[0.0, -1e38]])}}
    return state.replace(mean=mean, scatter=jax.tree.map(lambda x: x + jnp.inf, mean))


def test_scale_zero_is_the_mean_bit_for_bit():
    plain = collected(snapshots(6), rank=3)
    for state in (plain, signed_zeros(plain)):
        key = jax.random.key(0)
        assert_same_bits(sample(jax.random.clone(key), state, 0), state.mean)
        assert_same_bits(sample(jax.random.clone(key), state, 0.0), state.mean)
        keys, scales = jax.random.split(key, 3), jnp.array([0.0, 1.0, 0.0])
        draws = samples(keys, state, scales)
        assert_same_bits(at(draws, 0), state.mean)
        assert_same_bits(at(draws, 2), state.mean)
    pairs = (jax.random.clone(keys), scales)
    looped = jax.lax.map(lambda pair: swag.sample(pair[0], plain, pair[1]), pairs)
    assert_same_bits(at(looped, 0), plain.mean)
    assert np.abs(flat(at(looped, slice(1, 2))) - flat(at(plain.mean, None))).min() > 0


def test_slope_in_scale_is_finite():
    state = collected(snapshots(6), rank=3)

    @jax.jit
    def total(scale):
        draw = swag.sample(jax.random.key(0), state, scale)
        return sum(x.sum() for x in jax.tree.leaves(draw))

    assert jax.grad(total)(0.0) == 0
    step = 1e-2
    slope = (total(1 + step) - total(1 - step)) / (2 * step)
    np.testing.assert_allclose(jax.grad(total)(1.0), slope, rtol=1e-3)


@pytest.mark.parametrize("steps", [0, 1])
def test_draw_is_the_mean_before_the_second_snapshot(steps):
    xs = snapshots(1)
    xs["a"][0, 0] = -0.0
    state = swag.init(at(xs, 0), rank=2)
    for _ in range(steps):
        state = update(state, at(xs, 0))
    draw = sample(jax.random.key(0), state)
    assert_same_bits(draw, state.mean)
    expected = at(xs, 0) if steps else jax.tree.map(np.zeros_like, at(xs, 0))
    chex.assert_trees_all_equal(draw, expected)


def test_equal_snapshots_have_no_spread():
    xs = jax.tree.map(lambda x: np.repeat(x, 5, axis=0), snapshots(1))
    state = collected(xs, rank=3)
    chex.assert_trees_all_equal(sample(jax.random.key(0), state), at(xs, 0))


def test_same_key_same_draw_also_after_a_reload():
    xs = snapshots(6)
    state = collected(xs, rank=4)
    key = jax.random.key(3)
    draw = sample(jax.random.clone(key), state)
    assert_same_bits(sample(jax.random.clone(key), state), draw)
    other = sample(jax.random.key(4), state)
    assert np.abs(flat(at(other, None)) - flat(at(draw, None))).min() > 0

    empty = swag.init(at(xs, 0), rank=4)
    reloaded = serialization.from_bytes(empty, serialization.to_bytes(state))
    assert_same_bits(reloaded, state)
    assert_same_bits(sample(key, reloaded), draw)
    assert_same_bits(update(reloaded, at(xs, 0)), update(state, at(xs, 0)))


def test_tree_and_dtypes_are_those_of_the_weights():
    params = {"a": jnp.ones(2, jnp.bfloat16), "b": [jnp.ones((1, 3)), jnp.ones(())]}
    state = swag.init(params, rank=3)
    chex.assert_trees_all_equal(state, swag.init(jax.eval_shape(lambda: params), 3))
    for factor in (1, 2, 4):
        state = update(state, jax.tree.map(lambda x, f=factor: x * f, params))
    draw = sample(jax.random.key(0), state)
    chex.assert_trees_all_equal_shapes(draw, params)
    chex.assert_trees_all_equal_dtypes(draw, state.mean)
    assert {x.dtype for x in jax.tree.leaves(draw)} == {jnp.dtype("float32")}
    np.testing.assert_allclose(state.scatter["a"] / 3, np.var([1, 2, 4]), rtol=1e-6)


@pytest.mark.parametrize("rank", [1, -3])
def test_ranks_of_no_covariance_are_refused(rank):
    with pytest.raises(ValueError, match=f"rank is {rank}"):
        swag.init({"w": jnp.zeros(2)}, rank)


def test_scale_must_be_one_number_of_at_least_zero():
    state = collected(snapshots(3), rank=2)
    with pytest.raises(ValueError, match=r"scale is -0\.5"):
        swag.sample(jax.random.key(0), state, -0.5)
    with pytest.raises(ValueError, match=r"shape \(3,\)"):
        swag.sample(jax.random.key(0), state, jnp.ones(3))


def test_update_is_traced_once_and_works_in_place():
    chex.clear_trace_counter()
    step = jax.jit(chex.assert_max_traces(swag.update, 1), donate_argnums=0)
    xs = snapshots(5)
    state = swag.init(at(xs, 0), rank=2)
    for i in range(5):
        old, state = state, step(state, at(xs, i))
        assert all(leaf.is_deleted() for leaf in jax.tree.leaves(old))
    chex.assert_trees_all_close(state, collected(xs, 2), rtol=1e-6)

    params = {"w": jnp.zeros(100_000)}
    state = swag.init(params, rank=20)
    lowered = jax.jit(swag.update, donate_argnums=0).lower(state, params)
    memory = lowered.compile().memory_analysis()
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
    assert memory.alias_size_in_bytes >= size
    assert memory.temp_size_in_bytes < 3 * params["w"].nbytes


def test_scan_and_vmap_equal_the_loop():
    xs = snapshots(7)
    looped = collected(xs, rank=3)
    empty = swag.init(at(xs, 0), rank=3)
    scanned, _ = jax.lax.scan(lambda s, x: (swag.update(s, x), None), empty, xs)
    chex.assert_trees_all_close(scanned, looped, rtol=1e-5, atol=1e-6)
    seeds = jax.tree.map(lambda x: jnp.stack([x, 2 * x[::-1]]), xs)
    pair = jax.vmap(lambda x: swag.init(x, 3))(at(seeds, (slice(None), 0)))
    for step in range(7):
        pair = jax.vmap(swag.update)(pair, at(seeds, (slice(None), step)))
    for i in range(2):
        alone = collected(at(seeds, i), rank=3)
        chex.assert_trees_all_close(at(pair, i), alone, rtol=1e-5, atol=1e-6)


def test_devices_agree_with_one():
    xs = jax.tree.map(jnp.asarray, snapshots(3))
    expected = collected(xs, rank=2)

    pair = jax.tree.map(lambda x: jnp.stack([x, x]), swag.init(at(xs, 0), rank=2))
    for step in range(3):
        new = jax.tree.map(lambda x, step=step: jnp.stack([x[step], x[step]]), xs)
        pair = jax.pmap(swag.update)(pair, new)
    for i in range(2):
        chex.assert_trees_all_close(at(pair, i), expected, rtol=1e-6, atol=1e-6)

    mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    everywhere = jax.NamedSharding(mesh, jax.P())
    state = jax.device_put(swag.init(at(xs, 0), rank=2), everywhere)
    for step in range(3):
        state = update(state, jax.device_put(at(xs, step), everywhere))
    assert state.deviations["a"].sharding.is_equivalent_to(everywhere, 2)
    chex.assert_trees_all_close(state, expected, rtol=1e-6, atol=1e-6)
    key = jax.random.key(0)
    chex.assert_trees_all_close(
        sample(jax.random.clone(key), state), sample(key, expected), atol=1e-6
    )


@pytest.mark.parametrize("dtype", [None, jnp.bfloat16])
@pytest.mark.parametrize("host", [False, True])
def test_many_draws_are_those_of_one_key_each(dtype, host):
    xs = snapshots(6)
    state = swag.init(at(xs, 0), 3, dtype)
    for step in range(6):
        state = update(state, at(xs, step))
    keys, scales = jax.random.split(jax.random.key(0), 4), jnp.array([0.0, 1, 0.25, 4])
    wanted = samples(jax.random.clone(keys), state, scales)
    if host:
        numpy = jax.tree.map(np.asarray, state.deviations)
        state = state.replace(deviations=numpy)
    found = swag.draws(keys, state, scales)
    assert_same_bits(at(found, 0), state.mean)
    # Sums of three numbers, in another order.
    np.testing.assert_allclose(flat(found), flat(wanted), rtol=1e-5, atol=2e-6)


def test_many_draws_of_few_snapshots_are_the_mean():
    state = collected(snapshots(1), rank=3)
    keys = jax.random.split(jax.random.key(0), 2)
    found = jax.jit(swag.draws)(keys, state, jnp.ones(2))
    for member in range(2):
        assert_same_bits(at(found, member), state.mean)


@pytest.mark.parametrize("scale", [1.0, 0.25])
def test_rank_zero_is_a_diagonal_posterior(scale):
    xs = snapshots(5)
    state = collected(xs, rank=0)
    for leaf in jax.tree.leaves(state.deviations):
        assert leaf.size == 0
    chex.assert_trees_all_equal(state.scatter, collected(xs, rank=2).scatter)
    count = 50_000
    keys, scales = jax.random.split(jax.random.key(0), count), jnp.full(count, scale)
    drawn = samples(jax.random.clone(keys), state, scales)
    variances = scale * flat(xs).var(0)  # the whole of it, not a half
    error = np.sqrt((np.outer(variances, variances) + np.diag(variances**2)) / count)
    found = np.cov(flat(drawn).T)
    assert (np.abs(found - np.diag(variances)) < 5 * error).all()
    chex.assert_trees_all_close(swag.draws(keys, state, scales), drawn, rtol=1e-5)


def test_a_diagonal_posterior_at_scale_zero_is_the_mean_bit_for_bit():
    state = collected(snapshots(4), rank=0)
    assert_same_bits(sample(jax.random.key(0), state, 0.0), state.mean)
    keys = jax.random.split(jax.random.key(0), 1)
    assert_same_bits(at(swag.draws(keys, state, jnp.zeros(1)), 0), state.mean)


def test_many_draws_read_the_deviations_once():
    state = collected(snapshots(6), rank=3)
    keys = jax.random.split(jax.random.key(0), 7)
    text = str(jax.make_jaxpr(swag.low_ranks)(keys, state))
    assert text.count("dot_general") == len(jax.tree.leaves(state.mean)) == 2


def test_deviations_in_bfloat16_are_rounded_and_nothing_else_is():
    xs = snapshots(6)
    wanted, state = collected(xs, rank=4), swag.init(at(xs, 0), 4, "bfloat16")
    for step in range(6):
        state = update(state, at(xs, step))
    assert_same_bits((state.mean, state.scatter), (wanted.mean, wanted.scatter))
    for leaf in jax.tree.leaves(state.deviations):
        assert leaf.dtype == jnp.bfloat16
    # Eight bits of mantissa.
    np.testing.assert_allclose(
        flat(state.deviations), flat(wanted.deviations), rtol=2.0**-8
    )
    draw = sample(jax.random.key(0), state)
    for leaf in jax.tree.leaves(draw):
        assert leaf.dtype == jnp.float32
