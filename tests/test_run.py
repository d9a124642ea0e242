"""Whole runs of a tiny config: what they write, and that they stop and go on."""

import dataclasses
import io
import json
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest
from rich.console import Console
from tiny import CLASSES, OFTEN, config_of, quiet, save, strict_json

from ltjax.config import (
    Checkpoint,
)
from ltjax.mistake import Mistake
from ltjax.run import run
from ltjax.stages import features, representation
from ltjax.stages.loading import load
from ltjax.workdir import checkpoint, events

pytestmark = pytest.mark.usefixtures("compiled_once")

HEADS = ("none", "crt", "lws", "tau_norm", "ncm", "la_posthoc", "la", "disalign")
ROWS = [
    *(("sgd", head, "") for head in HEADS),
    *(("swa", head, "") for head in HEADS),
    *(("swa", "srepr", variant) for variant in ("", "c-mean", "b", "c-dirichlet")),
    *(("swag", head, "") for head in ("none", "la", "srepr")),
]


def names(results):
    return [(r["backbone"], r["classifier"], r["variant"]) for r in results["rows"]]


def tree(path):
    return {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}


# What a run writes


def test_every_row_is_there_and_one_headline_per_pair(place):
    assert names(place.results) == ROWS
    headlines = [(b, c) for b, c, variant in names(place.results) if variant == ""]
    pairs = {(b, c) for b, c, _ in names(place.results)}
    assert sorted(headlines) == sorted(pairs)


def test_results_are_plain_json_of_the_promised_shape(place):
    found = place.read("results.json")
    assert found == place.results
    train = load(place.config.data).train.image
    assert found["dataset"] == {
        "name": "train",
        "classes": CLASSES,
        "train": 48,
        "test": 20,
        "counts": [24, 13, 7, 4],
        "imbalance_factor": 6,
        "image": [8, 8, 1],
        "mean": [pytest.approx(train.mean() / 255)],
        "std": [pytest.approx(train.std() / 255)],
    }
    assert found["seed"] == 0
    stages = {"representation", "features", "classifier", "saving"}
    assert set(found["seconds"]) == stages
    assert all(seconds > 0 for seconds in found["seconds"].values())
    for row in found["rows"]:
        assert list(row["acc"]) == ["many", "medium", "few", "all"]
        # No class has more than 100 images.
        assert row["acc"]["many"] is None
        assert all(0 <= row["acc"][name] <= 100 for name in ("medium", "few", "all"))
        assert row["nll"] > 0
        assert 0 <= row["ece"] <= 1
        assert 0 <= row["brier"] <= 2
        assert row["seconds"] > 0


def test_groups_are_means_over_their_classes(place):
    classes = place.read("classes.json")
    assert classes["counts"] == [24, 13, 7, 4]
    for row in place.results["rows"]:
        names = (row["backbone"], row["classifier"], row["variant"])
        accuracy = classes["accuracy"]["-".join(filter(None, names))]
        assert row["acc"]["medium"] == pytest.approx(100 * accuracy[0])
        assert row["acc"]["few"] == pytest.approx(100 * np.mean(accuracy[1:]))
        # As many test images in every class.
        assert row["acc"]["all"] == pytest.approx(100 * np.mean(accuracy))


def test_the_draws_differ_and_the_dispersion_is_told_per_class(place):
    dispersion = place.read("classes.json")["dispersion"]
    assert set(dispersion) == {"representation", "relative", "probability"}
    for values in dispersion.values():
        assert len(values) == CLASSES
        assert min(values) > 0


def test_the_rows_are_not_copies_of_one_another(place):
    figures = {name: r["nll"] for name, r in zip(ROWS, place.results["rows"])}
    # The headline is the mean form of SRepr under its own name.
    headline = figures.pop(("swa", "srepr", ""))
    assert headline == figures["swa", "srepr", "c-mean"]
    assert len(set(figures.values())) == len(figures)


def test_metrics_tell_every_epoch_and_row(place):
    found = events.events(place.out)
    epochs = [e for e in found if e["event"] == "epoch"]
    assert [(e["backbone"], e["epoch"]) for e in epochs] == [
        (backbone, epoch) for backbone in ("sgd", "swa") for epoch in (1, 2, 3, 4)
    ]
    # Warm-up over the first epoch's three steps; SWA's rate is constant afterwards.
    assert epochs[0]["lr"] == pytest.approx(0.1)
    assert epochs[-1]["lr"] == pytest.approx(0.02)
    rows = [e["row"] for e in found if e["event"] == "row"]
    # Trained are all but the draws' rows, and SRepr's headline under its own name only.
    trained = [n for n in ROWS if n[0] != "swag" and n != ("swa", "srepr", "")]
    assert rows == ["-".join(filter(None, name)) for name in trained]
    trained = {e["row"] for e in found if e["event"] == "head_epoch"}
    assert "swa-srepr-b" in trained
    assert "sgd-ncm" not in trained


def test_the_folder_holds_what_is_promised(place):
    assert {file.name for file in place.out.iterdir()} == {
        ".lock",
        "config.json",
        "versions.json",
        "metrics.jsonl",
        "checkpoints",
        "classes.json",
        "labels.npz",
        "predictions.npz",
        "results.json",
    }
    assert len(place.read("versions.json")) == 1


# Finished runs


def test_a_finished_run_answers_at_once_and_writes_nothing(place, monkeypatch):
    def no_compute(*arguments):
        raise AssertionError("a finished run needs no compute")

    monkeypatch.setattr(jax, "jit", no_compute)
    monkeypatch.setattr(jax, "device_put", no_compute)
    before = tree(place.out)
    console = Console(width=80, file=io.StringIO())
    config = dataclasses.replace(place.config, checkpoint=Checkpoint(keep=5))
    assert run(config, str(place.out), console) == place.results
    assert "SWA + SRepr" in console.file.getvalue()
    assert tree(place.out) == before


def test_the_command_line_of_a_finished_run(place, tmp_path):
    file = tmp_path / "tiny.py"
    file.write_text(f"from ltjax.config import *\nconfig = {place.config!r}\n")
    command = (sys.executable, "-m", "ltjax.main", "--config", file)

    def ended(*more):
        return subprocess.run((*command, *more), capture_output=True, text=True)

    shown = ended("--out", place.out)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "SWA + SRepr (c-dirichlet)" in shown.stdout
    assert "\x1b" not in shown.stdout
    refused = ended("--out", place.out, "--seed", "1")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == (
        f"ltjax: --out {place.out} holds another run: seed was 0, now 1; "
        "give another --out, or --accept-changes to go on with what it has\n"
    )


def test_moved_data_are_the_same_data(place, tmp_path):
    for name in ("train", "test"):
        shutil.copy(place.path / f"{name}.npz", tmp_path / f"other_{name}.npz")
    files = {name: str(tmp_path / f"other_{name}.npz") for name in ("train", "test")}
    data = dataclasses.replace(place.config.data, **files)
    config = dataclasses.replace(place.config, data=data)
    assert run(config, place.out, quiet()) == place.results


def test_changed_data_are_refused(place, tmp_path):
    save(tmp_path / "train.npz", [24] * CLASSES, 2)
    save(tmp_path / "test.npz", [5] * CLASSES, 1)
    before = tree(place.out)
    with pytest.raises(Mistake, match="its images or labels were others"):
        run(config_of(tmp_path, imbalance_factor=6), place.out, quiet())
    assert tree(place.out) == before


def test_another_seed_is_another_run(place):
    with pytest.raises(Mistake, match="holds another run: seed was 0, now 1"):
        run(dataclasses.replace(place.config, seed=1), place.out, quiet())


# Unfinished runs: see test_resume.py


class Killed(BaseException):
    """The end of a process, as far as the code of the run can see."""


def begun(monkeypatch, config, out):
    """The record of a run that ends before its first step."""

    def train(*_):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(representation, "train", train)
        with pytest.raises(Killed):
            run(config, out, quiet())
    return json.loads((out / "config.json").read_text())["run"]


def test_the_seed_does_not_change_the_subset(place, tmp_path, monkeypatch):
    runs = {}
    for seed, subset_seed in ((0, 0), (1, 0), (0, 1)):
        data = dataclasses.replace(place.config.data, subset_seed=subset_seed)
        config = dataclasses.replace(place.config, seed=seed, data=data)
        out = tmp_path / f"{seed}{subset_seed}"
        runs[seed, subset_seed] = begun(monkeypatch, config, out)["data"]
    assert runs[0, 0] == runs[1, 0]
    assert runs[0, 0] != runs[0, 1]
    assert runs[0, 0] == place.read("config.json")["run"]["data"]


def test_a_head_that_diverges_is_named(place, tmp_path):
    settings = dataclasses.replace(place.config.classifier, methods=("la",), lr=1e30)
    config = dataclasses.replace(place.config, classifier=settings, checkpoint=OFTEN)
    out = tmp_path / "x"
    with pytest.raises(Mistake, match=r"^sgd-la: the loss is .*--classifier\.lr$"):
        run(config, out, quiet())
    (kept,) = checkpoint.steps(out / "checkpoints" / "heads" / "sgd")
    assert checkpoint.names(kept) == {"sgd-none"}


# Other settings


def test_without_a_bank_every_epoch_has_its_own_views(place, tmp_path, monkeypatch):
    seen = []
    take = features.take

    def taking(backbone, *args):
        found = take(backbone, *args)

        def view(epoch, draws):
            z = found.view(epoch, draws)
            if backbone.name == "swa":
                seen.append((epoch, draws, np.asarray(z[0])))
            return z

        return found._replace(view=view)

    monkeypatch.setattr(features, "take", taking)
    settings = dataclasses.replace(
        place.config.classifier, views=None, methods=("la", "srepr")
    )
    config = dataclasses.replace(place.config, classifier=settings)
    results = run(config, tmp_path / "x", quiet())
    assert [name for name in names(results) if name[0] == "sgd"] == [
        ("sgd", "none", ""),
        ("sgd", "la", ""),
    ]
    by_epoch = {}
    for epoch, draws, mean in seen:
        by_epoch.setdefault(epoch, []).append((draws, mean))
    assert sorted(by_epoch) == [0, 1]
    for views in by_epoch.values():
        # All heads see the same images; with or without draws, the mean comes first.
        # Programs of other shapes may add in another order.
        for _, mean in views[1:]:
            np.testing.assert_allclose(mean, views[0][1], rtol=1e-5, atol=1e-5)
    assert np.abs(by_epoch[0][0][1] - by_epoch[1][0][1]).max() > 1e-2
    assert not (
        tmp_path / "x" / "checkpoints" / "features" / "swa" / "view0.npy"
    ).exists()


def test_classes_may_lack_training_or_test_images(place, tmp_path):
    # The images of the other runs with other labels: compiled programs can be shared.
    data = load(place.config.data)
    for name, split, counts in (
        ("train", data.train, [28, 20, 0, 0]),
        ("test", data.test, [0, 10, 10, 0]),
    ):
        label = np.repeat(np.arange(CLASSES), counts)
        np.savez(tmp_path / f"{name}.npz", image=split.image, label=label)
    config = config_of(tmp_path, classes=CLASSES)
    results = run(config, tmp_path / "x", quiet())
    assert names(results) == ROWS
    strict_json((tmp_path / "x" / "results.json").read_text())
    classes = strict_json((tmp_path / "x" / "classes.json").read_text())
    for row in results["rows"]:
        assert row["nll"] > 0
        name = "-".join(
            filter(None, (row["backbone"], row["classifier"], row["variant"]))
        )
        first, second, third, fourth = classes["accuracy"][name]
        assert first is fourth is None
        assert row["acc"]["medium"] == pytest.approx(100 * second)
        assert row["acc"]["few"] == pytest.approx(100 * third)
    for values in classes["dispersion"].values():
        assert values[0] is values[3] is None
        assert min(values[1:3]) > 0
