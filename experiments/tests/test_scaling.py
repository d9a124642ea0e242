"""Data parallelism and the input, measured: parts of `experiments/bench.py`."""

import argparse
import json

import jax
import numpy as np
import pytest
from bench import command, scaling
from PIL import Image

from ltjax.runtime import devices

SETTINGS = {"depth": 8, "width": 4, "size": 8, "batch-size": 8, "steps": 2}
TINY = [f"--{name}={value}" for name, value in SETTINGS.items()] + ["--repeats=1"]


def on(count):
    """A mesh of the first `count` devices of this process."""
    some = jax.devices()[:count]
    axis = (jax.sharding.AxisType.Auto,)
    return jax.make_mesh((count,), ("data",), axis_types=axis, devices=some)


@pytest.fixture(scope="module")
def runs():
    """What a process of one device finds, and one of two."""
    assert jax.device_count() == 2
    jax.config.update("jax_disable_most_optimizations", True)
    parser, found = argparse.ArgumentParser(), {}
    scaling.flags(parser)
    flags = parser.parse_args(TINY)
    with pytest.MonkeyPatch.context() as patch:
        for count in (1, 2):
            patch.setattr(devices, "mesh", lambda count=count: on(count))
            found[count] = scaling.work(flags)
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
    runs, monkeypatch, tmp_path, capsys
):
    changed = dict(runs[2])
    changed["order"] = changed["order"][::-1]
    name = next(name for name in changed if name.startswith("statistics"))
    changed[name] = changed[name] + 0.25
    found = {1: runs[1], 2: runs[2], 4: changed}
    monkeypatch.setattr(scaling.harness, "apart", lambda _, flags, n, *more: found[n])
    out = tmp_path / "scaling.json"
    flags = ["--part", "scaling", *TINY, "--devices", "1", "2", "4", "--out", str(out)]
    assert command.main(flags) == 0
    text = capsys.readouterr().out
    assert "reversed" in text
    assert "Virtual devices share the cores" in " ".join(text.split())
    told = json.loads(out.read_text())
    assert {"commit", "processor", "packages", "device", "settings"} <= told.keys()
    first, control, second, third = told["rows"]
    assert first["weights"] == first["statistics"] == first["loss"] == 0
    assert control == {**first, "control": True}
    assert 0 < second["weights"] < 1e-5
    assert second["same_order"]
    assert not third["same_order"]
    assert third["statistics"] == pytest.approx(0.25, rel=1e-4)
    assert third["weights"] == second["weights"]


@pytest.mark.slow
def test_processes_of_their_own(tmp_path):
    out = tmp_path / "scaling.json"
    flags = ["--part", "scaling", *TINY, "--devices", "1", "2", "4", "8"]
    assert command.main([*flags, "--out", str(out)]) == 0
    rows = json.loads(out.read_text())["rows"]
    assert [row["devices"] for row in rows] == [1, 1, 2, 4, 8]
    assert 0 < rows[1]["weights"] < 1e-5
    assert all(row["same_order"] for row in rows)
    assert max(row["weights"] for row in rows) < 1e-5
    assert max(row["statistics"] for row in rows) < 1e-5


def test_the_input_is_timed_batch_by_batch(tmp_path):
    rng = np.random.default_rng(0)
    for at in range(8):
        path = tmp_path / "photos" / "ab"[at % 2] / f"{at}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (9, 9, 3), np.uint8)).save(path)
    out = tmp_path / "pipeline.json"
    flags = ["--part", "pipeline", "--folder", str(tmp_path / "photos"), "--size", "8"]
    flags += ["--batch-size", "2", "--images", "6", "--workers", "0"]
    assert command.main([*flags, "--out", str(out)]) == 0
    found = json.loads(out.read_text())
    assert found["batches"] == 3
    (row,) = found["rows"]
    assert row["workers"] == 0
    assert row["rate"] > 0
