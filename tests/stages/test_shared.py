"""Test images that are training images, too, are told by a run, not by inspect only."""

import dataclasses
import io
import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from tiny import untrained

from ltjax import run
from ltjax.config import CifarResNet, Config, Data, Posterior, Sgd, Swa
from ltjax.stages import loading

CONFIG = Config(
    name="mine",
    data=Data(source="folder", path="zoo", size=8),
    model=CifarResNet(depth=8, width=4),
    optim=Sgd(epochs=4, warmup_epochs=1, batch_size=8),
    swa=Swa(start=2, every_steps=1, rank=2),
    posterior=Posterior(samples=2),
)


def with_data(**changes):
    data = dataclasses.replace(CONFIG.data, **changes)
    return dataclasses.replace(CONFIG, data=data)


def loaded(config):
    """The data set, and what was said about it."""
    console = Console(width=200, file=io.StringIO())
    return loading.load(config.data, console), console.file.getvalue()


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A folder with a split; nothing is trained."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run, "stages", untrained())
    rng = np.random.default_rng(0)
    for split, count in (("train", 12), ("test", 5), ("val", 3)):
        for name, at in itertools.product("ab", range(count)):
            path = Path("zoo") / split / name / f"{at}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            image = rng.integers(0, 256, (9, 12, 3), np.uint8)
            Image.fromarray(image).save(path)
    return tmp_path


def leak():
    """Three test files become training ones: one twice, one of another class."""
    for source, target in (
        ("train/a/3", "test/a/0"),
        ("train/a/3", "test/a/new"),
        ("train/b/7", "test/a/1"),
        ("train/b/1", "val/b/0"),  # which neither trains nor tests
    ):
        shutil.copy(f"zoo/{source}.png", f"zoo/{target}.png")
    # The same pixels in another file.
    with Image.open("zoo/train/b/5.png") as image:
        image.save("zoo/test/b/2.bmp")
    for split in ("train", "test"):
        Path(f"zoo/{split}/a/broken.png").write_bytes(b"no image")


def count_files():
    train, test = (
        [path.read_bytes() for path in Path("zoo", split).rglob("*.png")]
        for split in ("train", "test")
    )
    equal = sum(any(one == other for other in train) for one in test)
    return equal - 1  # the broken one, which is in neither


def as_csv():
    lines = ["path,label,split"]
    for path in sorted(Path("zoo").rglob("*.*")):
        split, name = path.parts[1:3]
        lines.append(f"{path},{name},{split}")
    Path("zoo.csv").write_text("\n".join(lines) + "\n")


TOLD = "3 of the 12 test images are training images, too; they say nothing of new ones"


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"stream": True},
        {"source": "csv", "path": "zoo.csv"},
        {"source": "csv", "path": "zoo.csv", "stream": True},
    ],
)
def test_equal_files_of_both_splits_are_counted(desk, data):
    as_csv()
    found, said = loaded(with_data(**data))
    assert found.shared == 0
    assert "too" not in said
    leak()
    as_csv()
    found, said = loaded(with_data(**data))
    assert found.shared == count_files() == 3
    assert TOLD in said


def test_results_have_the_number_only_where_there_are_any(desk):
    results = run.run(CONFIG, "clean", Console(quiet=True))
    assert "shared" not in results["dataset"]
    leak()
    console = Console(width=200, file=io.StringIO())
    assert run.run(CONFIG, "leaky", console)["dataset"]["shared"] == 3
    kept = json.loads(Path("leaky/results.json").read_text())
    assert kept["dataset"]["shared"] == 3
    # A finished run says so again, and has it still.
    again = Console(width=200, file=io.StringIO())
    assert run.run(CONFIG, "leaky", again) == kept
    for said in (console, again):
        assert said.file.getvalue().count("test images are training images, too") == 1


def test_equal_pixels_of_arrays_are_counted(desk):
    rng = np.random.default_rng(1)
    image = rng.integers(0, 2, (40, 2, 2, 1), np.uint8)  # of 16 pictures
    label = np.arange(40) % 2
    np.savez("train.npz", image=image[:12], label=label[:12])
    np.savez("test.npz", image=image[12:], label=label[12:])
    settings = {"source": "npz", "train": "train.npz", "test": "test.npz"}
    equal = (image[12:, None] == image[None, :12]).all((2, 3, 4)).any(1).sum()
    assert 0 < equal < 28
    found, said = loaded(with_data(**settings))
    assert found.shared == equal
    assert f"{equal} of the 28 test images" in said
    # Of what is trained on, not of what was left out.
    tail, _ = loaded(with_data(imbalance_factor=6, **settings))
    kept = tail.train.image
    equal = (image[12:, None] == kept[None]).all((2, 3, 4)).any(1).sum()
    assert tail.shared == equal
    # A file without a test file is divided so that none is shared.
    alone, said = loaded(with_data(**{**settings, "test": None}, test_per_class=2))
    assert (alone.shared, "too" in said) == (0, False)


def test_the_digits_share_none(desk):
    found, said = loaded(with_data(source="digits"))
    assert (found.shared, said) == (0, "")
    pixels = [split.image.reshape(-1, 64) for split in (found.train, found.test)]
    train = {tuple(image) for image in pixels[0].tolist()}
    assert not any(tuple(image) in train for image in pixels[1].tolist())
