import io
import types

import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

from ltjax.config import Checkpoint
from ltjax.mistake import Mistake
from ltjax.workdir import checkpoint, series, workdir


def workdir_in(out, **settings):
    """A run's folder whose events go nowhere."""
    console = Console(file=io.StringIO(), width=500)
    nowhere = types.SimpleNamespace(write=lambda event: None)
    voice = workdir.Voice(console)
    found = workdir.Workdir(out, {}, Checkpoint(**settings), voice, nowhere)
    found.console = console
    return found


def tree(number):
    return {"a": jnp.full(3, number, jnp.float32)}


@pytest.fixture
def saved(tmp_path):
    """What a folder says, and a series that has saved twice."""
    folder = workdir_in(tmp_path)
    found = folder.series("sgd", keep=2)
    found.save((1,), tree(1))
    found.save((1, 5), tree(2), {"seconds": 2.5})
    return folder, found


def said(folder):
    return folder.console.file.getvalue().splitlines()


def harm(path):
    (path / "_CHECKPOINT_METADATA").write_text("{}")


def test_the_newest_is_used(saved):
    folder, found = saved
    at, back, note = found.newest(tree(0))
    assert (at, note) == ((1, 5), {"seconds": 2.5})
    np.testing.assert_array_equal(back["a"], 2)
    assert said(folder) == []


def test_a_damaged_one_is_set_aside_until_the_next_is_saved(saved):
    folder, found = saved
    newest, older = checkpoint.steps(folder.path / "checkpoints" / "sgd")
    harm(newest)
    at, back, note = found.newest(tree(0))
    assert (at, note) == ((1, 0), {})
    np.testing.assert_array_equal(back["a"], 1)
    assert said(folder) == [
        f"{newest} cannot be used: _CHECKPOINT_METADATA is not what was written"
    ]
    names = {path.name for path in older.parent.iterdir()}
    assert names == {"1", "1-5.damaged"}
    found.save((1, 5), tree(2))
    assert {path.name for path in older.parent.iterdir()} == {"1", "1-5"}


def test_without_a_good_one_the_training_begins_anew(saved):
    folder, found = saved
    for path in checkpoint.steps(folder.path / "checkpoints" / "sgd"):
        harm(path)
    assert found.newest(tree(0)) is None
    assert said(folder)[2:] == ["no checkpoint of sgd is left; it begins anew"]
    assert folder.series("swa", keep=2).newest(tree(0)) is None
    assert len(said(folder)) == 3


def test_another_network_is_refused(saved):
    with pytest.raises(
        Mistake, match=r"1-5 holds float32\[3\] at 'a', not float32\[4\]"
    ):
        saved[1].newest({"a": jnp.zeros(4)})


class Clock:
    """A clock that is set by hand."""

    def __init__(self, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr(series.time, "monotonic", lambda: self.now)

    def saving(self, monkeypatch, seconds):
        def save(*arguments):
            self.now += seconds

        monkeypatch.setattr(checkpoint, "save_step", save)


def test_saving_takes_a_fiftieth_of_the_time(tmp_path, monkeypatch):
    clock = Clock(monkeypatch)
    clock.saving(monkeypatch, 2.0)
    found = workdir_in(tmp_path).series("sgd", keep=2)
    spent = 0
    for _ in range(1000):
        clock.now += 30
        assert not found.due(ended=False, final=False)
        if found.due(ended=True, final=False):
            found.save((1,), {})
            spent += 2
    assert 0.015 * 30_000 < spent < 0.0201 * 30_000
    assert found.due(ended=True, final=True)


def test_seconds_between_saves_may_be_given(tmp_path, monkeypatch):
    clock = Clock(monkeypatch)
    clock.saving(monkeypatch, 2.0)
    found = workdir_in(tmp_path, every_seconds=60).series("sgd", keep=2)
    clock.now += 59
    assert not found.due(ended=True, final=False)
    clock.now += 1
    assert found.due(ended=False, final=False)
    found.save((0, 3), {})
    assert not found.due(ended=True, final=False)


def test_what_was_made_of_an_unfinished_backbone_is_deleted(tmp_path):
    names = ("features/sgd/7", "features/swa/7", "heads/sgd/2", "heads/swa/2")
    for name in names:
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
    workdir_in(tmp_path).series("sgd", keep=2).forget_what_followed()
    left = [name for name in names if (tmp_path / "checkpoints" / name).exists()]
    assert left == ["features/swa/7", "heads/swa/2"]
