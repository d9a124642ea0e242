"""Runs of image folders and CSVs, up to where training begins, and what they write."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from tiny import untrained

from ltjax import main, run
from ltjax.config import CifarResNet, Config, Data, Posterior, Sgd, Swa
from ltjax.stages import loading

CONFIG = Config(
    name="mine",
    data=Data(source="folder", path="zoo", size=8, test_per_class=4),
    model=CifarResNet(depth=8, width=4),
    optim=Sgd(epochs=4, warmup_epochs=1, batch_size=8),
    swa=Swa(start=2, every_steps=1, rank=2),
    posterior=Posterior(samples=2),
)


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A folder with images, of which two are broken; nothing is trained."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run, "stages", untrained())
    for number, name in enumerate(("große Katze", "b")):
        for at in range(20):
            path = Path("zoo") / name / f"{at:02d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (9, 12), (number, at, 0)).save(path)
    Path("zoo/b/03.png").write_bytes(b"")
    Path("zoo/große Katze/07.png").write_text("text")
    Path("mine.py").write_text(f"from ltjax.config import *\nconfig = {CONFIG!r}\n")
    return tmp_path


def ended(*arguments):
    return main.main(["--config", "mine.py", *arguments])


def test_what_was_skipped_is_listed_and_classes_have_names(desk):
    console = Console(width=80, file=io.StringIO())
    results = run.run(CONFIG, "out", console)
    measured = {name: results["dataset"].pop(name) for name in ("mean", "std")}
    assert all(len(values) == 3 for values in measured.values())
    assert results["dataset"] == {
        "name": "zoo",
        "classes": 2,
        "train": 30,
        "test": 8,
        "counts": [15, 15],
        "imbalance_factor": None,
        "image": [8, 8, 3],
        "class_names": ["b", "große Katze"],
    }
    assert json.loads(Path("out/skipped.json").read_text()) == [
        {"path": "b/03.png", "kind": "empty", "reason": "no bytes"},
        {
            "path": "große Katze/07.png",
            "kind": "broken",
            "reason": "no image of a known kind",
        },
    ]
    told = console.file.getvalue()
    assert "read images: 40/40" in told
    assert "2 files cannot be read and are left out; they are listed in out/sk" in told
    # Without the broken files it is the same run.
    for name in ("b/03", "große Katze/07"):
        Path(f"zoo/{name}.png").unlink()
    again = run.run(CONFIG, "out", Console(quiet=True))
    assert again["dataset"] == results["dataset"] | measured


def test_without_a_fault_no_list_is_written(desk):
    for name in ("b/03", "große Katze/07"):
        Path(f"zoo/{name}.png").unlink()
    run.run(CONFIG, "out", Console(quiet=True))
    assert not Path("out/skipped.json").exists()


def test_other_images_are_another_run(desk, capsys):
    assert ended("--out", "out") == 0
    Path("zoo/b/19.png").unlink()
    assert ended("--out", "out") == 2
    assert "its images or labels were others" in capsys.readouterr().err


def test_other_class_names_are_another_run(desk, capsys):
    assert ended("--out", "out") == 0
    capsys.readouterr()
    Path("zoo/b").rename("zoo/c")
    for words in (("--out", "out"), ("--out", "new", "--stage-one", "out")):
        assert ended(*words) == 2
        err = capsys.readouterr().err
        assert "class 0 was 'b', is 'c'" in err
        assert err.count("\n") == 1
    assert ended("--out", "out", "--accept-changes") == 0
    kept = json.loads(Path("out/results.json").read_text())
    assert kept["dataset"]["class_names"] == ["c", "große Katze"]
    assert kept["changes"][0]["differences"] == ["class 0 was 'b', is 'c'"]
    capsys.readouterr()
    Path("zoo/new").mkdir()
    for words in ((), ("--accept-changes",)):
        assert ended("--out", "out", *words) == 2
        assert "classes were 2, are 3: 'new' is new; give another --out" in (
            capsys.readouterr().err
        )
    assert json.loads(Path("out/results.json").read_text()) == kept


def test_a_class_that_is_only_tested_is_told(desk):
    for name in ("train", "test"):
        Path("split", name).mkdir(parents=True)
    Path("zoo/b").rename("split/train/b")
    Path("zoo/große Katze").rename("split/train/a")
    Path("split/test/new").mkdir()
    Path("split/train/b/00.png").rename("split/test/new/00.png")
    console = Console(width=200, file=io.StringIO())
    data = loading.load(Data(source="folder", path="split", size=8), console)
    assert np.bincount(data.train.label, minlength=3).tolist() == [19, 18, 0]
    assert "no training images: new" in console.file.getvalue()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--data.path zo", "zo does not exist; did you mean zoo?"),
        ("--data.path empty", "empty has no images, wanted CLASS/*.jpg or train/CLASS"),
        ("--data.path one", "one has one class, 'b'; it takes 2 to tell apart"),
        ("--data.path mine.py", "mine.py is a file, wanted a folder with CLASS"),
        ("--data.strict", "zoo/b/03.png cannot be read: no bytes; mend or remove"),
        ("--data.source csv", "zoo is a folder, wanted a .csv file"),
        ("--data.source csv --data.path bad.csv", "bad.csv has the columns a, b; want"),
        (
            "--data.source csv --data.path out.csv",
            "out.csv, line 2: ../x leaves the fo",
        ),
        (
            "--data.source csv --data.path gone.csv",
            "gone.csv: none of its 2 files is there; the first is x.jpg",
        ),
        ("--data.classes 3", "data.classes is 3; folder has 2"),
    ],
)
def test_what_cannot_be_run(desk, capsys, flags, message):
    Path("empty").mkdir()
    Path("one/b").mkdir(parents=True)
    Path("one/b/1.jpg").touch()
    Path("bad.csv").write_text("a,b\n1,2\n")
    Path("out.csv").write_text("path,label\n../x,2\n")
    Path("gone.csv").write_text("path,label\nx.jpg,2\ny.jpg,1\n")
    assert ended(*flags.split()) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"ltjax: {message}")
    assert err.count("\n") == 1
    assert not Path("runs").exists()
