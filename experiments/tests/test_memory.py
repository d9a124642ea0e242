"""Memory of every stage: a part of `experiments/bench.py`."""

import json

import numpy as np
import pytest
from bench import command, memory, programs


def test_a_process_knows_how_much_it_grew():
    found = memory.growth(lambda: np.ones(2**26, np.uint8))
    assert 0.9 * 2**26 < found < 3 * 2**26


def test_a_line_is_extended_to_the_whole_set():
    known = {"train": 100_000, "test": 1000}
    found = [(size, 5e6 + 4e5 * size) for size in (100, 200, 400)]
    row = memory.line("bank", "host", "train", 10, found, known)
    assert row["bytes_per_image"] == pytest.approx(4e5)
    assert row["bytes"] == pytest.approx(5e6 + 4e10)
    assert row["fits"]
    assert not memory.line("bank", "device", "train", 10, found, known)["fits"]
    flat = [(100, 7e6), (200, 7e6), (400, 7e6 - 1)]
    assert memory.line("x", "host", "test", 10, flat, known)["bytes"] < 7.1e6


def test_what_a_head_has_on_a_device_grows_by_its_features():
    program = programs.programs(3)["srepr, view on the device"]
    more = program(512) - program(256)
    # The mean and ten draws, 2,048 numbers each; a label and a place in a batch.
    assert more == pytest.approx(256 * 11 * 2048 * 4, rel=0.01)


def test_the_file_tells_what_was_found(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "grown", lambda name, count, classes: 10 * count)
    monkeypatch.setattr(
        programs,
        "programs",
        lambda classes: {"head": lambda count: classes * count},
    )
    out = tmp_path / "memory.json"
    assert (
        command.main(["--part", "memory", "--sizes", "1000", "2000", "--out", str(out)])
        == 0
    )
    found = json.loads(out.read_text())
    stages = {row["stage"] for row in found["rows"]}
    assert stages == {*memory.stages(), "head"}
    (head,) = (
        row
        for row in found["rows"]
        if (row["set"], row["stage"]) == ("iNaturalist 2018", "head")
    )
    assert head["bytes"] == pytest.approx(8142 * 437_513)
    assert head["points"] == [[1000, 8_142_000], [2000, 16_284_000]]
    whole = {
        (run["set"], run["bank"], run["bank_dtype"]) for run in found["whole_runs"]
    }
    assert len(whole) == 6
    by_bank = {run["bank"]: run for run in found["whole_runs"] if run["set"][0] == "i"}
    assert by_bank["file"]["fits"]
    assert not by_bank["memory"]["fits"]
