"""The experiment on data parallelism: `experiments/scaling.py`."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from ltjax.runtime import devices

FILE = Path(__file__).parents[1] / "scaling.py"
SETTINGS = {"depth": 8, "width": 4, "size": 8, "batch-size": 8, "steps": 2}
TINY = [f"--{name}={value}" for name, value in SETTINGS.items()] + ["--repeats=1"]


def load():
    spec = importlib.util.spec_from_file_location("scaling", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def scaling():
    return load()


def on(count):
    """A mesh of the first `count` devices of this process."""
    some = jax.devices()[:count]
    axis = (jax.sharding.AxisType.Auto,)
    return jax.make_mesh((count,), ("data",), axis_types=axis, devices=some)


@pytest.fixture(scope="module")
def runs(scaling):
    """What a process of one device finds, and one of two."""
    assert jax.device_count() == 2
    jax.config.update("jax_disable_most_optimizations", True)
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        for count in (1, 2):
            patch.setattr(devices, "mesh", lambda count=count: on(count))
            found[count] = scaling.work(scaling.read(TINY))
    jax.config.update("jax_disable_most_optimizations", False)
    return found


def test_two_devices_equal_one(runs):
    one, two = runs[1], runs[2]
    assert one.keys() == two.keys()
    # Two batches of eight, out of seventeen images that are their own labels.
    assert one["order"].shape == (2, 8)
    assert len(set(one["order"].ravel())) == 16
    np.testing.assert_array_equal(one["order"], two["order"])
    for name in one.keys() - {"order", "seconds"}:
        # Sums over a batch in two parts, two steps long.
        np.testing.assert_allclose(two[name], one[name], rtol=1e-5, atol=2e-6)
    # Not bit for bit: the parts were really added.
    assert any((one[n] != two[n]).any() for n in one if n.startswith("weights"))
    assert any(name.startswith("statistics") for name in one)
    assert one["seconds"] > 0


def test_the_table_and_the_file_tell_what_was_found(
    scaling, runs, monkeypatch, tmp_path, capsys
):
    changed = dict(runs[2])
    changed["order"] = changed["order"][::-1]
    name = next(name for name in changed if name.startswith("statistics"))
    changed[name] = changed[name] + 0.25
    processes = {1: runs[1], 2: runs[2], 4: changed}
    monkeypatch.setattr(scaling, "spawn", lambda args, count, *_: processes[count])
    out = tmp_path / "scaling.json"
    assert scaling.main([*TINY, "--devices", "1", "2", "4", "--out", str(out)]) == 0
    text = capsys.readouterr().out
    lines = [line.split() for line in text.splitlines()]
    assert [line[:3] for line in lines[1:5]] == [
        ["1", "8", "yes"],
        ["1,", "rev.", "8"],
        ["2", "4", "yes"],
        ["4", "2", "NO"],
    ]
    assert "Virtual devices share the cores" in text
    first, control, second, third = json.loads(out.read_text())["rows"]
    assert first["weights"] == first["statistics"] == first["loss"] == 0
    assert control == {**first, "control": True}
    assert 0 < second["weights"] < 1e-5
    assert second["same_order"]
    assert not third["same_order"]
    assert third["statistics"] == pytest.approx(0.25, rel=1e-4)
    assert third["weights"] == second["weights"]


@pytest.mark.slow
def test_processes_of_their_own(tmp_path):
    command = (sys.executable, FILE, *TINY, "--devices", "1", "2", "4", "8")
    out = tmp_path / "scaling.json"
    ended = subprocess.run((*command, "--out", out), capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")
    rows = json.loads(out.read_text())["rows"]
    assert [row["devices"] for row in rows] == [1, 1, 2, 4, 8]
    assert 0 < rows[1]["weights"] < 1e-5
    assert all(row["same_order"] for row in rows)
    assert max(row["weights"] for row in rows) < 1e-5
    assert max(row["statistics"] for row in rows) < 1e-5
