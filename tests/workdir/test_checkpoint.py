import errno
import hashlib
import json
import os
import shutil
import sys
import types
from pathlib import PureWindowsPath

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding

from ltjax.mistake import Mistake
from ltjax.posterior import swag
from ltjax.representation import schedule, step
from ltjax.workdir import checkpoint

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
    saved, note = carry(), {"loss": [0.1, 1 / 3], "seconds": 1.5}
    checkpoint.save_step(tmp_path / "run", (1, 7), saved, 2, note, {"data": "feed"})
    (path,) = checkpoint.steps(tmp_path / "run")
    assert checkpoint.damage(path) is None
    assert checkpoint.position(path) == (1, 7)
    assert checkpoint.note(path) == note
    assert_same_bits(checkpoint.load(path, jax.tree.map(jnp.zeros_like, saved)), saved)
    record = json.loads((path / "record.json").read_text())
    assert record["data"] == "feed"
    assert record["format"] == checkpoint.FORMAT
    for name, digest in record["files"].items():
        assert hashlib.sha256((path / name).read_bytes()).hexdigest() == digest
    assert {str(f.relative_to(path)) for f in path.rglob("*") if f.is_file()} == {
        "record.json",
        *record["files"],
    }


def test_some_are_kept_newest_first(tmp_path):
    folder = tmp_path / "run"
    assert checkpoint.steps(folder) == []
    for at in ((2,), (9,), (9, 30), (9, 200), (10,)):
        checkpoint.save_step(folder, at, {"a": jnp.float32(len(at))}, 3)
    names = [path.name for path in checkpoint.steps(folder)]
    assert names == ["10", "9-200", "9-30"]
    assert checkpoint.position(folder / "10") == (10, 0)
    # What a kill leaves of a checkpoint under way, or was set aside, is deleted.
    (folder / "11.orbax-checkpoint-tmp").mkdir()
    checkpoint.set_aside(folder / "10")
    assert [path.name for path in checkpoint.steps(folder)] == ["9-200", "9-30"]
    checkpoint.save_step(folder, (10,), {"a": jnp.float32(0)}, 3)
    assert sorted(path.name for path in folder.iterdir()) == ["10", "9-200", "9-30"]


def test_a_place_that_was_taken_is_taken_over(tmp_path):
    path = tmp_path / "heads" / "la"
    checkpoint.save(path, {"a": jnp.zeros(3)})
    (path / "record.json").unlink()
    (tmp_path / "heads" / "la.orbax-checkpoint-tmp-1").mkdir()
    checkpoint.save(path, {"a": jnp.ones(3)})
    assert [each.name for each in path.parent.iterdir()] == ["la"]
    np.testing.assert_array_equal(checkpoint.load_as_saved(path)["a"], np.ones(3))


def array_file(path):
    return max((path / "state").rglob("*"), key=lambda file: file.stat().st_size)


def truncate(path):
    file = array_file(path)
    file.write_bytes(file.read_bytes()[:-1])


def flip(path):
    content = bytearray(array_file(path).read_bytes())
    content[len(content) // 2] ^= 4
    array_file(path).write_bytes(content)


def flip_metadata(path):
    file = path / "state" / "_METADATA"
    file.write_bytes(file.read_bytes().replace(b"kernel", b"kernal", 1))


def empty_record(path):
    (path / "record.json").write_text("")


def other_format(path):
    record = json.loads((path / "record.json").read_text())
    (path / "record.json").write_text(json.dumps({**record, "format": 2}))


DAMAGES = {
    truncate: "is not what was written",
    flip: "is not what was written",
    flip_metadata: "state/_METADATA is not what was written",
    lambda path: array_file(path).unlink(): "is missing",
    lambda path: shutil.rmtree(path / "state"): "is missing",
    lambda path: (path / "record.json").unlink(): "it has no record",
    empty_record: "its record cannot be read",
    lambda path: (path / "record.json").write_text("[1]"): "its record cannot be read",
    lambda path: (path / "record.json").write_bytes(b"\xff"): "its record cannot be re",
    other_format: "its format is 2, not 1",
}


@pytest.mark.parametrize("harm", DAMAGES)
def test_damage_is_found(saved_once, tmp_path, harm):
    path = tmp_path / "copy"
    shutil.copytree(saved_once, path)
    assert checkpoint.damage(path) is None
    harm(path)
    assert DAMAGES[harm] in checkpoint.damage(path)


@pytest.fixture(scope="module")
def saved_once(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "tree"
    checkpoint.save(path, carry())
    return path


def test_what_comes_back_otherwise_is_not_kept(tmp_path, monkeypatch):
    """A disk that loses a bit while it is written to, and says nothing."""
    load = checkpoint.ocp.load

    def losing(*args):
        tree = load(*args)
        tree["a"][1, 2] = np.nextafter(tree["a"][1, 2], 1, dtype=np.float32)
        return tree

    checkpoint.save_step(tmp_path, (1,), {"a": np.zeros((2, 3), np.float32)}, 1)
    monkeypatch.setattr(checkpoint.ocp, "load", losing)
    with pytest.raises(Mistake, match="2 is not what was written; is the disk sound"):
        checkpoint.save_step(tmp_path, (2,), {"a": np.zeros((2, 3), np.float32)}, 1)
    older = tmp_path / "1"
    assert checkpoint.damage(older) is None
    assert checkpoint.damage(tmp_path / "2") == (
        "it has no record, so it was never finished"
    )


ORBAX = "RESOURCE_EXHAUSTED: Failed writing: \"x/d\": Failed [os_error_code='28']"


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), ValueError(ORBAX)]
)
def test_a_full_disk_is_told_and_costs_nothing(tmp_path, monkeypatch, error):
    def full(*args, **more):
        raise error

    checkpoint.save_step(tmp_path, (1,), {"a": jnp.ones(3)}, 1)
    monkeypatch.setattr(checkpoint.ocp, "save", full)
    with pytest.raises(Mistake) as caught:
        checkpoint.save_step(tmp_path, (2,), {"a": jnp.ones(3)}, 1)
    assert str(caught.value) == (
        f"{tmp_path / '2'} cannot be written: No space left on device; what was saved "
        "before is kept, the same command goes on from there"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["1"]


def test_a_note_lies_beside_the_tree(tmp_path):
    head = {"kernel": jnp.float32(RNG.normal(size=(3, 2)))}
    note = {"figures": {"acc": {"all": 67.25, "few": None}}, "seconds": 1e-3}
    path = tmp_path / "heads" / "la"
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
    like = {"a": jnp.zeros_like(placed[end], device=placed[end].sharding)}
    found = checkpoint.load(tmp_path / "tree", like)["a"]
    assert found.sharding == placed[end].sharding
    np.testing.assert_array_equal(found, placed[end])


def test_an_array_is_saved_that_was_off_a_mesh_of_one_device(tmp_path):
    mesh = jax.make_mesh((1,), ("data",), axis_types=(AxisType.Auto,))
    everywhere = NamedSharding(mesh, jax.P())
    values = np.float32(RNG.normal(size=(4, 3)))
    alone = jax.device_put(values, everywhere).addressable_data(0)
    saved = {"a": jax.device_put(alone, everywhere)}
    checkpoint.save(tmp_path / "tree", saved)
    assert_same_bits(checkpoint.load(tmp_path / "tree", saved), saved)


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
    with pytest.raises(Mistake, match=words):
        checkpoint.load(tmp_path / "tree", like)


def test_late_writes_of_a_failed_save_print_nothing(tmp_path, monkeypatch):
    """Orbax's threads go on after the first failure, into a loop that is closed."""
    told = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)
    before = sys.unraisablehook
    checkpoint.save(tmp_path / "well", {"a": jnp.zeros(3)})
    assert sys.unraisablehook is before

    def fails(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint.ocp, "save", fails)
    with pytest.raises(Mistake, match="No space left on device"):
        checkpoint.save(tmp_path / "ill", {"a": jnp.zeros(3)})
    for text in ("Event loop is closed", "another one"):
        error = RuntimeError(text)
        sys.unraisablehook(types.SimpleNamespace(exc_value=error))
    assert [str(unraisable.exc_value) for unraisable in told] == ["another one"]


def test_files_are_synced_as_windows_can(tmp_path, monkeypatch):
    """Which refuses to sync a file that is open for reading only."""
    fcntl = pytest.importorskip("fcntl")
    sync, synced = os.fsync, []

    def on_windows(descriptor):
        mode = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE
        if mode == os.O_RDONLY:
            raise OSError(errno.EBADF, "Bad file descriptor")
        synced.append(descriptor)
        sync(descriptor)

    (tmp_path / "tree" / "state").mkdir(parents=True)
    (tmp_path / "tree" / "state" / "a").write_bytes(b"12")
    monkeypatch.setattr(os, "fsync", on_windows)
    checkpoint.seal(tmp_path / "tree")
    assert len(synced) == 2  # the record, too
    assert checkpoint.damage(tmp_path / "tree") is None


def test_a_record_names_files_as_every_system_does(tmp_path, monkeypatch):
    (tmp_path / "tree" / "state").mkdir(parents=True)
    (tmp_path / "tree" / "state" / "a").write_bytes(b"12")
    relative = type(tmp_path).relative_to
    monkeypatch.setattr(
        type(tmp_path),
        "relative_to",
        lambda self, other: PureWindowsPath(relative(self, other)),
    )
    checkpoint.seal(tmp_path / "tree")
    record = json.loads((tmp_path / "tree" / "record.json").read_text())
    assert set(record["files"]) == {"state/a"}
