"""The fast run of one method: `experiments/speedrun.py`."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
import speedrun
from rich.console import Console
from tiny import with_draws

from ltjax import machine
from ltjax.config import (
    Augment,
    CifarResNet,
    Classifier,
    Config,
    Data,
    Posterior,
    Sgd,
    Swa,
)
from ltjax.run import run
from ltjax.stages import backbones
from ltjax.workdir import identity

COUNTS = [24, 13, 7, 4]  # of 24 images per class, at imbalance factor 6
SEEDS = 2
CONFIG = Config(
    name="tiny",
    data=Data(imbalance_factor=6),
    augment=Augment(pad=1, flip=True),
    model=CifarResNet(depth=8, width=4),
    optim=Sgd(epochs=8, warmup_epochs=2, batch_size=16),
    swa=Swa(start=4, rank=2),
    posterior=Posterior(samples=2, batch_size=20),
    classifier=Classifier(epochs=3, batch_size=16, views=2, methods=("la", "srepr")),
)


def save(path, counts, seed):
    """Noisy images of a colour per class."""
    label = np.repeat(np.arange(len(counts)), counts)
    noise = np.random.default_rng(seed).integers(0, 120, (len(label), 8, 8, 3))
    image = noise + 40 * label[:, None, None, None]
    np.savez(path, image=image.astype(np.uint8), label=label)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a config and two data files."""
    path = tmp_path_factory.mktemp("place")
    save(path / "train.npz", [24] * 4, 0)
    save(path / "test.npz", [5] * 4, 1)
    (path / "tiny.py").write_text(f"from ltjax.config import *\nconfig = {CONFIG!r}\n")
    return path


def arguments(place, *more):
    files = {"config": "tiny.py", "train": "train.npz", "test": "test.npz"}
    flags = [f"--{name}={place / file}" for name, file in files.items()]
    return [*flags, f"--out={place / 'out.json'}", "--dtype=float32", *more]


class Done:
    """One finished command, and what it had before it wrote its file."""

    def __init__(self, place):
        with pytest.MonkeyPatch.context() as patch:
            inner = speedrun.speedrun

            def watched(*args):
                self.rows, self.log_probs = inner(*args)
                return self.rows, self.log_probs

            patch.setattr(speedrun, "speedrun", watched)
            more = ("--epochs=4", f"--seeds={SEEDS}", f"--at-once={SEEDS}")
            # The check takes the slices of a batched array of keys for the whole.
            with jax.debug_key_reuse(False):
                self.code = speedrun.main(arguments(place, *more))
        self.results = json.loads((place / "out.json").read_text())


@pytest.fixture(scope="module")
def done(place):
    jax.config.update("jax_disable_most_optimizations", True)
    yield Done(place)
    jax.config.update("jax_disable_most_optimizations", False)


def test_the_file_tells_what_ran_and_how_long(done):
    assert done.code == 0
    found = done.results
    stages = {"data", "representation", "batch_norm", "features", "head", "evaluation"}
    assert found["seconds"].keys() == stages | {"reference", "total"}
    assert found["compile_seconds"].keys() == found["seconds"].keys() - {"data"}
    for times in (found["seconds"], found["compile_seconds"]):
        assert min(times.values()) > 0
        # What the reference costs is not part of the method.
        parts = sum(times[name] for name in times if name in stages)
        assert times["total"] == pytest.approx(parts)
    assert found["device"] == jax.devices()[0].device_kind
    assert found["processor"] == machine.processor()
    assert {"jax", "jaxlib", "flax", "optax", "numpy"} <= found["packages"].keys()
    assert found["commit"] is None or len(found["commit"].split("-")[0]) == 40
    # Half as many epochs as the config has: warm-up and SWA begin twice as early.
    assert found["config"]["optim"]["epochs"] == 4
    assert found["config"]["optim"]["warmup_epochs"] == 1
    assert found["config"]["swa"]["start"] == 2
    assert found["rows"] == done.rows
    assert [(row["classifier"], row["seed"]) for row in found["rows"]] == [
        (name, seed) for name in ("srepr", "la") for seed in range(SEEDS)
    ]


def test_figures_are_those_of_the_log_probabilities(done, place):
    labels = np.load(place / "test.npz", allow_pickle=False)["label"]
    assert np.unique([row["nll"] for row in done.rows]).size == 2 * SEEDS
    for row in done.rows:
        log_probs = np.float64(done.log_probs[row["classifier"]][row["seed"]])
        assert log_probs.shape == (20, 4)
        np.testing.assert_allclose(np.exp(log_probs).sum(1), 1, rtol=1e-5)
        right = log_probs.argmax(1) == labels
        per_class = [100 * right[labels == c].mean() for c in range(4)]
        acc = {
            "many": None,
            "medium": per_class[0],
            "few": np.mean(per_class[1:]),
            "all": 100 * right.mean(),
        }
        assert row["acc"] == pytest.approx(acc)
        assert row["nll"] == pytest.approx(-log_probs[range(20), labels].mean())
        confidence = np.exp(log_probs.max(1))
        bins = np.ceil(confidence * 15)
        gaps = [(right - confidence)[bins == b].sum() for b in range(1, 16)]
        assert row["ece"] == pytest.approx(np.abs(gaps).sum() / 20, rel=1e-5)


def test_rows_are_those_of_the_run_of_the_same_config(done, place, monkeypatch):
    data = dataclasses.replace(
        CONFIG.data,
        source="npz",
        train=str(place / "train.npz"),
        test=str(place / "test.npz"),
    )
    config = dataclasses.replace(
        CONFIG,
        seed=1,
        data=data,
        optim=dataclasses.replace(CONFIG.optim, epochs=4, warmup_epochs=1),
        swa=dataclasses.replace(CONFIG.swa, start=2),
    )
    assert identity.of_config(config) == {**done.results["config"], "seed": 1}
    every = backbones.of  # the other takes as long again
    monkeypatch.setattr(backbones, "of", lambda *args: with_draws(every(*args)))
    wanted = run(config, place / "run", Console(quiet=True))
    assert wanted["dataset"]["counts"] == COUNTS
    for row in done.rows:
        if row["seed"] == 1:
            (same,) = (
                other
                for other in wanted["rows"]
                if all(
                    other[n] == row[n] for n in ("backbone", "classifier", "variant")
                )
            )
            # Two seeds side by side, and one over two devices, add in another order.
            assert row["nll"] == pytest.approx(same["nll"], rel=1e-5)
            assert row["brier"] == pytest.approx(same["brier"], rel=1e-5)
            assert row["acc"] == pytest.approx(same["acc"])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--epochs=1",), "swa.start is 0; it must lie between"),
        (("--seeds=0",), "--seeds is 0; it must be at least 1"),
        (("--train=nothing.npz",), "nothing.npz does not exist"),
        (("--out=no/x.json",), "--out no/x.json lies in no folder; make it first"),
    ],
)
def test_a_mistake_is_one_line(place, capsys, more, message):
    assert speedrun.main(arguments(place, *more)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"speedrun: {message}")
    assert err.count("\n") == 1


def test_what_only_a_whole_run_does_is_refused(place, capsys):
    swa = dataclasses.replace(CONFIG.swa, every_steps=2)
    text = f"from ltjax.config import *\nconfig = {CONFIG!r}"
    (place / "other.py").write_text(text.replace(repr(CONFIG.swa), repr(swa)))
    assert speedrun.main(arguments(place, f"--config={place / 'other.py'}")) == 2
    assert capsys.readouterr().err.startswith(
        "speedrun: swa.every_steps has to be None"
    )


def test_it_needs_little_beside_jax():
    """Of the package's dependencies only those that an accelerator's machine has."""
    code = f"""if True:
        import runpy, sys
        import flax.linen, optax, chex
        before = set(sys.modules)
        sys.path.insert(0, {str(Path(speedrun.__file__).parent)!r})
        runpy.run_path({speedrun.__file__!r})
        heavy = {{
            "orbax", "tyro", "rich", "tensorflow_datasets", "tensorflow", "grain",
            "array_record", "matplotlib", "sklearn", "importlib_resources",
        }}
        new = {{name.partition(".")[0] for name in set(sys.modules) - before}}
        # What flax itself brings, such as rich, is there wherever flax is.
        print(sorted(new & heavy), "orbax" in sys.modules, "ltjax" in new)
        """
    ended = subprocess.run((sys.executable, "-c", code), capture_output=True, text=True)
    assert ended.stdout == "[] False True\n", ended.stderr
