"""The scripts that make the tables of results: experiments/table1.py and its kin."""

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from ltjax import main

EXPERIMENTS = Path(__file__).parent.parent / "experiments"

pytestmark = pytest.mark.usefixtures("compiled_once")


@pytest.fixture(scope="module")
def table(place, tmp_path_factory):
    """Runs a script on the tiny config as a command; the exit code and its lines."""
    folder = tmp_path_factory.mktemp("tables")
    config = folder / "tiny.py"
    config.write_text(f"from ltjax.config import *\nconfig = {place.config!r}\n")
    sys.path.insert(0, str(EXPERIMENTS))

    def call(script, *more):
        out = folder / f"{script}.jsonl"
        args = ["--config", str(config), "--out", str(out), "--holdout", "4"]
        runs = ["--runs", str(folder / "runs")]
        before, sys.argv = sys.argv, [script, *args, *runs, *map(str, more)]
        try:
            with pytest.raises(SystemExit) as left:
                runpy.run_path(str(EXPERIMENTS / f"{script}.py"), run_name="__main__")
        finally:
            sys.argv = before
        lines = out.read_text().splitlines() if out.exists() else []
        return left.value.code, [json.loads(line) for line in lines]

    call.folder = folder
    yield call
    sys.path.remove(str(EXPERIMENTS))


@pytest.fixture(scope="module")
def table2(table):
    code, lines = table("table2")
    assert code == 0
    return lines


def row(line):
    return line["backbone"], line["classifier"], line["variant"]


def test_a_line_is_a_row_of_the_run_and_what_made_it(place, table2):
    assert [row(line) for line in table2] == [row(r) for r in place.results["rows"]]
    for line, result in zip(table2, place.results["rows"]):
        figures = ("acc", "nll", "ece", "brier", "group_ece")
        assert {name: line[name] for name in figures} == {
            name: result[name] for name in figures
        }
        assert line["dataset"] == "train"
        assert line["imbalance_factor"] == 6
        assert line["config"] == "tiny"
        assert line["seed"] == 0
        assert line["device"] == "cpu"
        assert line["seconds"] >= 0


def test_the_temperature_is_that_of_the_validation_run(table2):
    # The temperature cannot change who is right, and T = 1 is what was measured.
    for line in table2:
        assert 1e-3 <= line["temperature"] <= 1e3
        assert line["nll_scaled"] > 0
        assert 0 <= line["ece_scaled"] <= 1
    assert len({line["temperature"] for line in table2}) > len(table2) / 2


def test_the_best_epoch_claims_at_least_the_last(table2):
    trained = {"crt", "lws", "la", "disalign", "srepr"}
    for line in table2:
        if line["classifier"] in trained and line["backbone"] != "swag":
            assert line["best_epoch"]["all"] >= line["acc"]["all"] - 1e-9
            assert line["best_epoch"]["epoch"] in (1, 2)
        else:
            assert line["best_epoch"] is None


def test_a_finished_seed_is_not_made_again_and_settings_do_not_mix(
    table, table2, capsys
):
    code, lines = table("table2")
    assert code == 0
    assert lines == table2
    assert "has seed 0" in capsys.readouterr().out
    code, lines = table("table2", "--classifier.lr", 0.01)
    assert code == 2
    assert lines == table2
    assert "holds lines of other settings" in capsys.readouterr().err
    code, _ = table("table2", "--out", table.folder / "no" / "x.jsonl")
    assert code == 2
    assert "is not a file in an existing folder" in capsys.readouterr().err
    code, _ = table("table2", "--data.holdout", 4)
    assert code == 2
    assert "--data.holdout is the table's own to set" in capsys.readouterr().err
    code, _ = table("table2", "--seed", 3)
    assert code == 2
    assert "--seed is the table's own to set" in capsys.readouterr().err
    code, lines = table("table2", "--holdout", 0)
    assert code == 2
    assert lines == table2
    assert "another --holdout" in capsys.readouterr().err


def test_table1_takes_its_rows_from_the_same_runs(table, table2):
    code, lines = table("table1")
    assert code == 0
    assert [row(line) for line in lines] == [
        ("sgd", "la", ""),
        ("swa", "la", ""),
        ("swa", "srepr", "b"),
        ("swa", "srepr", ""),
    ]
    for line in lines:
        step = line.pop("step")
        assert step
        assert line in table2


def test_figure3_correlates_counts_and_dispersion(place, table, table2):
    code, [line] = table("figure3")
    assert code == 0
    assert line["counts"] == place.results["dataset"]["counts"]
    for space, values in line["dispersion"].items():
        expected = stats.spearmanr(line["counts"], values).statistic
        assert line["spearman"][space] == pytest.approx(expected)
    assert line["dispersion"] == place.read("classes.json")["dispersion"]


@pytest.fixture
def sweep(monkeypatch):
    monkeypatch.syspath_prepend(str(EXPERIMENTS))
    import sweep

    monkeypatch.setattr(sweep, "FORMS", (("mean", 2.0),))
    monkeypatch.setattr(sweep, "WEIGHTS", (0.5, 0.8))
    return sweep


def test_a_sweep_tries_every_choice_once(table, table2, sweep, tmp_path, monkeypatch):
    del table2  # made the validation run
    folder = table.folder
    flags = ["--config", str(folder / "tiny.py"), "--data.holdout", "4"]
    config, *_ = main.read(flags)
    out, to = folder / "runs" / "tiny-holdout4-seed0", tmp_path / "sweep.jsonl"
    sweep.sweep(config, out, to)
    lines = [json.loads(line) for line in to.read_text().splitlines()]
    assert len(lines) == len(sweep.choices(config)) == 9
    by_choice = {
        (line["classifier"], line["variant"], line["views"]): line for line in lines
    }
    assert len(by_choice) == 4
    run = json.loads((out / "results.json").read_text())
    expected = {row(r): r["nll"] for r in run["rows"]}
    assert by_choice["la", "", 2]["nll"] == expected["swa", "la", ""]
    assert by_choice["srepr", "b", 2]["nll"] == expected["swa", "srepr", "b"]
    lowest = min(line["nll"] for line in lines)
    for line in lines:
        # The NLL is a float32 sum, the gap a float64 one.
        assert line["gap"] == pytest.approx(line["nll"] - lowest, abs=1e-6)
        assert (line["gap_se"] > 0) == (line["gap"] != 0)
    monkeypatch.setattr(sweep, "judged", None)  # nothing is fitted again
    sweep.sweep(config, out, to)
    assert [json.loads(line) for line in to.read_text().splitlines()] == lines


def test_a_sweep_on_the_test_set_is_refused(place, sweep, tmp_path):
    with pytest.raises(sweep.Mistake, match=r"data\.holdout is 0; choose on held-out"):
        sweep.sweep(place.config, place.out, tmp_path / "x.jsonl")
    assert not list(tmp_path.iterdir())
    assert np.isfinite(place.results["rows"][0]["nll"])
