"""The scripts that ask what another processor, or another process, makes of a run."""

import importlib.util
import json
from pathlib import Path

import jax
import numpy as np
import pytest

EXPERIMENTS = Path(__file__).parents[1]


def script(name):
    spec = importlib.util.spec_from_file_location(name, EXPERIMENTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def processors():
    return script("processors")


@pytest.fixture(scope="module")
def together():
    return script("together")


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("exp", np.exp),
        ("rsqrt", lambda x: x**-0.5),
        ("root.inverse", lambda x: x**-0.5),
        ("vector / sqrt", lambda x, y: x / y**0.5),
        ("matrix product", np.matmul),
    ],
)
def test_the_programs_are_what_they_are_called(processors, name, wanted):
    function, args = processors.programs()[name]
    exact = wanted(*(np.asarray(arg, np.float64) for arg in args))
    np.testing.assert_allclose(jax.jit(function)(*args), exact, rtol=1e-4, atol=1e-5)


def test_both_gradients_are_the_same_but_for_rounding(processors):
    names, programs = (
        ("gradient, rsqrt", "gradient, root.inverse"),
        processors.programs(),
    )
    one, other = (jax.jit(programs[name][0])(*programs[name][1]) for name in names)
    assert np.abs(one).max() > 1e-4
    np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-6)


def test_what_differs_is_named(processors):
    rows = [{"digests": {"a": "1", "b": "2"}}, {"digests": {"a": "1", "b": "3"}}]
    assert processors.different(rows) == [[], ["b"]]


@pytest.mark.parametrize(
    ("args", "line"),
    [
        ("--models Haswell", "processors: --emulator and --models go together"),
        ("--at-once 0", "processors: --at-once is 0; it must be at least 1"),
        ("--out nowhere/x.json", "processors: --out nowhere/x.json lies in no folder"),
    ],
)
def test_half_a_command_is_refused(processors, capsys, args, line):
    assert processors.main(args.split()) == 2
    assert capsys.readouterr().err.startswith(line)


@pytest.mark.parametrize(
    "file", sorted((EXPERIMENTS / "results").glob("processors_*.json"))
)
def test_the_file_has_every_program_of_every_row(processors, file):
    found = json.loads(file.read_text())
    names = set(processors.programs())
    assert found["rows"][0]["processor"] == "here"
    for row in found["rows"]:
        assert row["digests"].keys() == names
    assert [row["different"] for row in found["rows"]] == processors.different(
        found["rows"]
    )


def test_files_are_looked_at_whoever_does_it(together, tmp_path):
    together.photos(tmp_path, 6, 16)
    found = together.looked(tmp_path)
    # Alone, this process has no other to share with.
    assert [found[name]["files"] for name in ("alone", "divided")] == [6, 6]


def test_a_batch_is_put_in_place_by_both_ways(together):
    times = together.sent((2, 4, 4, 3), 2)
    assert {name: len(turns) for name, turns in times.items()} == {
        "device_put": 2,
        "whole": 2,
    }


def test_too_few_turns_are_refused(together, capsys):
    assert together.main(["--repeats", "1"]) == 2
    assert "--repeats is 1; it must be at least 2" in capsys.readouterr().err
