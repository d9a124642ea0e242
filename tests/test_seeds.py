"""Several seeds by one command, with stages that train nothing."""

import json
import os
import signal
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ltjax import main, run
from ltjax.config.command import seeds_of
from ltjax.mistake import Mistake
from ltjax.runtime import processes
from ltjax.runtime.stopping import Stopped
from ltjax.stages.classifier import Outcome

pytestmark = pytest.mark.usefixtures("thin")

FILE = """
from ltjax.config import Config, Data, CifarResNet, Sgd, Swa
config = Config(
    backbones=("swa",),
    data=Data(source="npz", train="train.npz", test="test.npz"),
    model=CifarResNet(depth=8, width=4),
    optim=Sgd(epochs=4, warmup_epochs=1, batch_size=8),
    swa=Swa(start=2),
)
"""


def row(seed):
    acc = {"many": None, "medium": 50.0 + seed**2, "few": 40.0, "all": 45.0 + seed}
    # No row that has a mean of all seeds: these runs keep no features.
    names = {"backbone": "swa", "classifier": "crt", "variant": ""}
    figures = {"nll": 1 / (1 + seed), "ece": 0.1, "brier": 0.5, "seconds": 1.0}
    return {**names, "acc": acc, **figures}


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A folder with a config; runs of it end at once."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(
        run,
        "stages",
        lambda config, *_: [Outcome([row(config.seed)], {}, predicted={})],
    )
    Path("mine.py").write_text(FILE)
    for name, labels in (("train", [0] * 9 + [1] * 9), ("test", [0, 1])):
        image = np.zeros((len(labels), 8, 8, 3), np.uint8)
        np.savez(f"{name}.npz", image=image, label=np.array(labels))
    return tmp_path


def ended(*arguments):
    return main.main(["--config", "mine.py", *arguments])


def test_the_seeds_of_a_text():
    assert seeds_of("0,1,2") == (0, 1, 2)
    assert seeds_of("17") == (17,)
    for wrong in ("", "a", "0,,1", "0,", "-1", "1.5", "0,1,0", "01,1", "0 1", "²"):
        with pytest.raises(Mistake, match=f"--seeds {wrong}"):
            seeds_of(wrong)


def test_a_summary_of_ordinary_runs(desk, capsys):
    assert ended("--seeds", "0,1,2", "--out", "x") == 0
    shown = capsys.readouterr().out
    for seed in range(3):
        results = json.loads(Path(f"x/seed{seed}/results.json").read_text())
        assert results["seed"] == seed
        assert results["rows"] == [row(seed)]
        assert f"seed {seed}, {seed + 1} of 3, in x/seed{seed}\n" in shown
    found = json.loads(Path("x/seeds.json").read_text())
    assert found["seeds"] == [0, 1, 2]
    assert found["runs"] == {"0": "seed0", "1": "seed1", "2": "seed2"}
    assert found["dataset"] == results["dataset"]
    (rows,) = found["rows"]
    for name, values in (
        ("nll", [row(seed)["nll"] for seed in range(3)]),
        ("ece", [0.1] * 3),
    ):
        mean, std = statistics.mean(values), statistics.stdev(values)
        assert rows[name] == pytest.approx({"mean": mean, "std": std}, abs=1e-12)
    *_, last = shown.split("seeds 0, 1, 2")
    words = last.split()
    assert "51.67 40.00 46.00 0.611" in " ".join(words)
    assert "±2.08 ±0.00 ±1.00 ±0.347" in " ".join(words)
    assert last.endswith("means and deviations are in x/seeds.json\n")


def test_without_out_they_are_the_runs_of_single_seeds(desk, capsys):
    assert ended("--seed", "1") == 0
    assert ended("--seeds", "1,0") == 0
    assert "runs/mine-seed1 holds this run, finished" in capsys.readouterr().out
    found = json.loads(Path("runs/mine-seeds.json").read_text())
    assert found["seeds"] == [1, 0]
    assert found["runs"] == {"1": "mine-seed1", "0": "mine-seed0"}


def test_quiet_is_the_last_table_only(desk, capsys):
    assert ended("--seeds", "0,1", "--quiet") == 0
    out, err = capsys.readouterr()
    lines = [line for line in out.splitlines() if line.strip()]
    assert "seeds 0, 1" in lines[0]
    assert lines[-1].startswith("mean ± standard deviation")
    assert err == ""
    assert ended("--seed", "0", "--quiet") == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert "seed 0" in lines[0]
    assert lines[-1].startswith("accuracy in %")


def test_a_stop_ends_all_and_the_same_command_goes_on(desk, capsys, monkeypatch):
    asked = []

    def stages(config, system, loader, folder):
        if config.seed and not asked:
            asked.append(config.seed)
            os.kill(os.getpid(), signal.SIGTERM)
            raise Stopped(folder.asked(), "sgd, epoch 1 of 4, step 2 of 2")
        return [Outcome([row(config.seed)], {}, predicted={})]

    monkeypatch.setattr(run, "stages", stages)
    assert ended("--seeds", "0,1,2", "--out", "x") == 143
    assert capsys.readouterr().err.endswith(
        "ltjax: stopped after sgd, epoch 1 of 4, step 2 of 2; all is saved, the same "
        "command goes on\n"
    )
    assert Path("x/seed0/results.json").exists()
    assert not Path("x/seed2").exists()
    assert not Path("x/seeds.json").exists()
    assert ended("--seeds", "0,1,2", "--out", "x") == 0
    assert asked == [1]
    assert Path("x/seeds.json").exists()


# In processes of their own


def test_two_processes_and_their_summary(desk):
    """With finished runs, as what a process trains is no stage of this test's."""
    assert ended("--seeds", "0,1", "--out", "x") == 0
    before = Path("x/seeds.json").read_text()
    Path("x/seeds.json").unlink()
    words = [
        "-m",
        "ltjax.main",
        "--config",
        "mine.py",
        "--out=x",
        "--seeds",
        "0,1",
        "--parallel",
        "2",
    ]
    done = subprocess.run((sys.executable, *words), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert Path("x/seeds.json").read_text() == before
    lines = done.stdout.splitlines()
    assert lines[0] == "2 seeds at a time; each line begins with its seed"
    for seed in (0, 1):
        assert f"{seed}: x/seed{seed} holds this run, finished:" in lines
    assert "seeds 0, 1" in done.stdout.split("1: accuracy")[-1]
    assert max(len(line.rstrip()) for line in lines) <= 80


def test_the_command_of_each_process(desk, monkeypatch):
    heard = {}

    def trained(commands, environments, stopping, errors_only):
        heard.update(commands)
        heard["given"] = environments, errors_only
        return dict.fromkeys(commands, 2)

    monkeypatch.setattr(processes, "run", trained)
    monkeypatch.setattr(processes, "environments", lambda *_: [{"A": "1"}, {"A": "2"}])
    flags = "--out=x --seeds 4,5 --quiet --stop_after_minutes 9 --optim.epochs 6"
    assert ended(*flags.split(), "--parallel=2") == 2
    own = [sys.executable, "-m", "ltjax.main", "--config", "mine.py", "--quiet"]
    for seed in (4, 5):
        place = ["--seed", str(seed), "--out", f"x/seed{seed}"]
        assert heard[seed] == [*own, "--optim.epochs", "6", *place]
    assert heard["given"] == ([{"A": "1"}, {"A": "2"}], True)


@pytest.mark.parametrize(
    ("codes", "asked", "code", "says"),
    [
        ({0: 0, 1: 143}, 143, 143, "stopped after 1 of 3 seeds; all is saved"),
        ({0: 143, 1: 143}, 75, 75, "stopped after 0 of 3 seeds; all is saved"),
        ({0: 0, 1: 2}, None, 2, "seed 1 ended with exit code 2; what all did is kept"),
        ({0: 137, 1: 0}, None, 137, "seed 0 ended with exit code 137; "),
    ],
)
def test_how_processes_that_did_not_finish_end(
    desk, capsys, monkeypatch, codes, asked, code, says
):
    def trained(commands, environments, stopping, errors_only):
        if asked == 143:
            os.kill(os.getpid(), signal.SIGTERM)
        return codes

    monkeypatch.setattr(processes, "run", trained)
    monkeypatch.setattr(processes, "environments", lambda *_: [{}, {}])
    late = ["--stop-after-minutes", "0"] if asked == 75 else []
    assert ended("--seeds", "0,1,2", "--out", "x", *late) == code
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"ltjax: {says}")
    assert last.endswith(("the same command goes on", "goes on from there"))
    assert not Path("x").exists()
