import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ltjax.posterior import swag
from ltjax.runtime import devices
from ltjax.stages import deviations

PARAMS = {"a": jnp.zeros((3, 4)), "b": jnp.zeros(5)}


def snapshots(count):
    draws = np.random.default_rng(0).normal(size=(count, 17)).astype(np.float32)
    return [{"a": x[:12].reshape(3, 4), "b": x[12:]} for x in draws]


def begun(store, dtype="float32"):
    """A carry whose training state is only a number of steps."""

    def begin():
        return jnp.int32(0), swag.init(PARAMS, store.rank, dtype)

    shapes = jax.eval_shape(begin)
    return jax.jit(begin, out_shardings=store.shardings(shapes))(), store.like(shapes)


def assert_same(tree, other):
    for x, y in zip(jax.tree.leaves(tree), jax.tree.leaves(other), strict=True):
        assert x.dtype == y.dtype
        np.testing.assert_array_equal(np.asarray(x), np.asarray(y))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("resumes", [False, True])
@pytest.mark.parametrize("per_epoch", [1, 3, 6])
def test_the_host_has_the_deviations_that_a_device_would_have(
    per_epoch, resumes, dtype
):
    rank, all_snapshots = 4, snapshots(12)
    store = deviations.placed("host", rank, per_epoch)
    assert store.rank == min(rank, max(per_epoch, 2))
    carry, like = begun(store, dtype)
    wanted = swag.init(PARAMS, rank, dtype)
    for first in range(0, 12, per_epoch):
        for params in all_snapshots[first : first + per_epoch]:
            carry = carry[0], swag.update(carry[1], params)
            wanted = swag.update(wanted, params)
        saved = store.whole(carry)
        assert_same(saved[1], wanted)
        assert all(
            isinstance(x, np.ndarray) for x in jax.tree.leaves(like[1].deviations)
        )
        if resumes:
            copied = jax.tree.map(lambda x: x.copy(), saved)
            store = deviations.placed("host", rank, per_epoch)
            carry = store.resumed(copied)
            assert_same(carry[1].mean, wanted.mean)
    assert_same(store.whole(carry)[1], wanted)  # nothing is fetched twice


@pytest.mark.parametrize(
    ("place", "parts"),
    [("device", {(4, 3, 4), (4, 5)}), ("sharded", {(4, 3, 2), (4, 5)})],
)
def test_deviations_lie_whole_or_cut_over_the_devices(place, parts):
    store = deviations.placed(place, 4, 1)
    carry, like = begun(store)
    leaves = jax.tree.leaves(carry[1].deviations)
    assert {leaf.addressable_data(0).shape for leaf in leaves} == parts
    assert {leaf.addressable_data(1).shape for leaf in leaves} == parts
    assert carry[1].mean["a"].is_fully_replicated
    assert [leaf.sharding for leaf in jax.tree.leaves(like)] == [
        leaf.sharding for leaf in jax.tree.leaves(carry)
    ]
    assert store.whole(carry) is carry
    assert store.resumed(carry) is carry


def test_only_an_axis_that_the_devices_divide_is_cut():
    def parts(*shape):
        sharding = devices.cut(jax.ShapeDtypeStruct(shape, jnp.float32))
        return sharding.shard_shape(shape)

    assert parts(4, 6, 8) == (4, 6, 4)
    assert parts(4, 6, 7) == (4, 3, 7)
    assert parts(4, 5, 7) == (4, 5, 7)
    assert parts(4) == (4,)


def test_an_unknown_place_is_refused():
    with pytest.raises(ValueError, match="place is 'disk', not 'device', 'sharded'"):
        deviations.placed("disk", 4, 1)
