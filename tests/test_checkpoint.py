import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding

from ltjax import checkpoint
from ltjax.posterior import swag
from ltjax.representation import schedule, step

RNG = np.random.default_rng(0)


TX = schedule.sgd(schedule.to_zero(0.1, 5, 1), 0.9, 1e-4)


def carry(seed=0):
    """What a training saves, a state and its posterior, of random numbers."""
    rng = np.random.default_rng(seed)
    params = {
        "features": {"kernel": jnp.zeros((4, 6))},
        "head": {"bias": jnp.zeros(6, jnp.bfloat16)},
    }
    stats = {"norm": {"mean": jnp.zeros(6)}}
    state = step.init({"params": params, "batch_stats": stats}, TX)
    return jax.tree.map(
        lambda leaf: jnp.asarray(100 * rng.normal(size=leaf.shape), leaf.dtype),
        (state, swag.init(params, rank=2)),
    )


def assert_same_bits(found, wanted):
    chex.assert_trees_all_equal_shapes_and_dtypes(found, wanted)
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(wanted)):
        assert isinstance(a, jax.Array)
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


def test_a_training_comes_back_bit_for_bit(tmp_path):
    saved = carry()
    with checkpoint.keeper(tmp_path / "run") as keeper:
        checkpoint.save_step(keeper, 1, saved)
    like = jax.tree.map(jnp.zeros_like, saved)
    with checkpoint.keeper(tmp_path / "run") as keeper:
        number, found = checkpoint.restore_latest(keeper, like)
    assert number == 1
    assert_same_bits(found, saved)


def test_the_newest_step_is_restored_and_only_some_are_kept(tmp_path):
    folder = tmp_path / "run"
    with checkpoint.keeper(folder, keep=2) as keeper:
        assert checkpoint.restore_latest(keeper, carry()) is None
        for number in (9, 10, 11):
            checkpoint.save_step(keeper, number, carry(number))
    assert sorted(path.name for path in folder.iterdir()) == ["10", "11"]
    with checkpoint.keeper(folder, keep=2) as keeper:
        number, found = checkpoint.restore_latest(keeper, carry())
        assert number == 11
        assert_same_bits(found, carry(11))
        checkpoint.save_step(keeper, 12, carry(12))  # a resumed training goes on
    assert sorted(path.name for path in folder.iterdir()) == ["11", "12"]


def test_a_note_lies_beside_the_tree(tmp_path):
    head = {"kernel": jnp.float32(RNG.normal(size=(3, 2)))}
    note = {"figures": {"acc": {"all": 67.25, "few": None}}, "seconds": 1e-3}
    path = tmp_path / "heads" / "la"
    assert checkpoint.note(path) is None
    checkpoint.save(path, head, note)
    assert checkpoint.note(path) == note
    assert_same_bits(checkpoint.load(path, head), head)
    # shapes alone are enough to load onto
    assert_same_bits(checkpoint.load(path, jax.eval_shape(lambda: head)), head)


@pytest.fixture(scope="module")
def placed():
    """The same array over two devices and on one."""
    mesh = jax.make_mesh((2,), ("data",), axis_types=(AxisType.Auto,))
    values = np.float32(RNG.normal(size=(4, 3)))
    shardings = {
        "two": NamedSharding(mesh, jax.P("data")),
        "one": jax.sharding.SingleDeviceSharding(jax.devices()[1]),
    }
    return {where: jax.device_put(values, s) for where, s in shardings.items()}


@pytest.mark.parametrize(("begin", "end"), [("two", "one"), ("one", "two")])
def test_arrays_are_placed_as_asked_not_as_saved(tmp_path, placed, begin, end):
    checkpoint.save(tmp_path / "tree", {"a": placed[begin]})
    with checkpoint.keeper(tmp_path / "run") as keeper:
        checkpoint.save_step(keeper, 1, {"a": placed[begin]})
        like = {"a": jnp.zeros_like(placed[end], device=placed[end].sharding)}
        loaded = checkpoint.load(tmp_path / "tree", like)
        _, restored = checkpoint.restore_latest(keeper, like)
    for found in (loaded["a"], restored["a"]):
        assert found.sharding == placed[end].sharding
        np.testing.assert_array_equal(found, placed[end])


@pytest.mark.parametrize(
    ("like", "words"),
    [
        ({"a": jnp.zeros((3, 2)), "n": jnp.int32(0)}, r"float32\[2, 3\] at 'a'"),
        ({"a": jnp.zeros((2, 4)), "n": jnp.int32(0)}, r"not float32\[2, 4\]"),
        (
            {"a": jnp.zeros((2, 3)), "n": jnp.float32(0)},
            r"int32\[\] at 'n', not float32",
        ),
        ({"a": jnp.zeros((2, 3))}, r"int32\[\] at 'n', not nothing"),
        (
            {"a": jnp.zeros((2, 3)), "n": jnp.int32(0), "z": jnp.ones(2)},
            r"nothing at 'z', not float32\[2\]",
        ),
    ],
)
def test_another_tree_is_refused(tmp_path, like, words):
    saved = {"a": jnp.ones((2, 3)), "n": jnp.int32(7)}
    checkpoint.save(tmp_path / "tree", saved)
    with pytest.raises(ValueError, match=words):
        checkpoint.load(tmp_path / "tree", like)
    with checkpoint.keeper(tmp_path / "run") as keeper:
        checkpoint.save_step(keeper, 1, saved)
        with pytest.raises(ValueError, match=words):
            checkpoint.restore_latest(keeper, like)
