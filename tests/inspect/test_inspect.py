"""The command line of an inspection, as a user meets it."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ltjax import main
from ltjax.config import Augment, Data
from ltjax.inspect import __main__ as inspect
from ltjax.inspect import estimate
from ltjax.stages.loading import load

CLASSES = {"Großer Käfer": 30, "b": 12, "白鳥 2": 3}
TIMES = {
    "device": "cpu",
    "busy": 3.0,
    "seconds_per_step": 0.1,
    "images_per_second": 320.0,
    "seconds": {
        "compiling": 50.0,
        "representation": 600.0,
        "features": 7000.0,
        "total": 7650.0,
    },
    "bytes": {"host": 2**20, "device": 3 * 2**30},
    "how": "as told",
}


def paint(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (20, 24, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """The folder a user works in, with images; training steps are not timed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(estimate, "estimate", lambda *arguments: TIMES)
    for number, (name, count) in enumerate(CLASSES.items()):
        for at in range(count):
            paint(Path("zoo") / name / f"{at:02d}.png", (number, at))
    return tmp_path


def tree(path):
    return {file: file.is_dir() or file.read_bytes() for file in path.rglob("*")}


def test_from_images_to_a_config(desk, capsys):
    whole = Path("zoo/b/00.png").read_bytes()
    Path("zoo/b/cut.png").write_bytes(whole[:-100])
    Path("zoo/白鳥 2/copy.png").write_bytes(whole)
    before = tree(desk / "zoo")
    code = inspect.main(["zoo", "--json", "found.json", "--config-out", "my zoo.py"])
    assert code == 0
    assert tree(desk / "zoo") == before
    out, err = capsys.readouterr()
    assert err == ""
    assert max(map(len, out.splitlines())) < 130
    lines = out.splitlines()
    for line in (
        "zoo: 46 images of 3 classes; imbalance factor 7.5, Gini 0.377",
        "files that cannot be read and will be skipped: 1",
        "  b/cut.png (image file is truncated)",
        "  b/00.png = 白鳥 2/copy.png",
        "of these, groups in several classes: 1",
        "next: python -m ltjax.main --config 'my zoo.py'",
    ):
        assert line in lines
    for part in ("about 2.1 h on this device", "training 10 min", "about 3.0 GiB on"):
        assert part in out
    found = json.loads(Path("found.json").read_text())
    assert found["counts"] == {"Großer Käfer": 30, "b": 12, "白鳥 2": 4}
    assert found["imbalance_factor"] == 7.5
    assert found["undecodable"] == ["b/cut.png"]
    assert found["duplicates"] == [["b/00.png", "白鳥 2/copy.png"]]
    assert found["proposal"]["test"] == {"Großer Käfer": 10, "b": 6, "白鳥 2": 2}
    # The run reads the same images and makes the split that was proposed.
    config, out, *_ = main.read(["--config", "my zoo.py"])
    assert out == Path("runs/my zoo-seed0")
    assert config.data == Data(source="folder", path="zoo", size=20, test_per_class=10)
    assert config.augment == Augment(pad=2, flip=True)
    data = load(config.data)
    assert list(data.class_names) == list(found["counts"])
    for split, use in ((data.train, "train"), (data.test, "test")):
        assert np.bincount(split.label).tolist() == list(
            found["proposal"][use].values()
        )
    assert [file.path for file in data.skipped] == found["undecodable"]


def test_a_range_is_that_of_the_images_to_train_on(desk, capsys):
    """Of all classes, and of no test image."""
    for split, most in (("train", 3000), ("test", 5000)):
        for name in ("a", "b"):
            for at in range(6):
                values = np.linspace(100, most - at, 400).reshape(20, 20)
                path = Path("deep") / split / name / f"{at}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(values.astype(np.uint16)).save(path)
    words = ["deep", "--config-out", "deep.py", "--json", "found.json"]
    assert inspect.main(words) == 0
    assert (
        "24 grey images have more than 8 bits, with values 100 to 5000; proposed: "
        "data.range 100 to 3000, of those to train on"
    ) in capsys.readouterr().out
    space = {}
    exec(Path("deep.py").read_text(), space)
    assert space["config"].data.range == (100, 3000)
    found = json.loads(Path("found.json").read_text())
    assert found["deep_range"] == [100, 5000]
    # Those that use most of 16 bits are read as they are.
    values = np.array([[0, 2**16 - 1]], np.uint16)
    Image.fromarray(values).save("deep/train/a/0.png")
    assert inspect.main(["deep"]) == 0
    assert "the upper 8 of 16 bits are read" in capsys.readouterr().out


def test_a_csv(desk, capsys):
    rows = [f"b/{at:02d}.png,b,{'test' if at < 3 else 'train'}" for at in range(12)]
    rows += [f"白鳥 2/{at:02d}.png,w,train" for at in range(3)]
    Path("zoo/list.csv").write_text("path,label,split\n" + "\n".join(rows))
    arguments = ["zoo/list.csv", "--json", "found.json", "--config-out", "c.py"]
    assert inspect.main(arguments) == 0
    assert "classes with no images to test on: 1\n  w\n" in capsys.readouterr().out
    found = json.loads(Path("found.json").read_text())
    assert found["counts"] == {"b": 12, "w": 3}
    assert found["splits"]["test"] == {"b": 3, "w": 0}
    assert found["one_split_only"] == {"train": ["w"], "test": []}
    data = load(main.read(["--config", "c.py"])[0].data)
    assert (len(data.train.label), len(data.test.label)) == (12, 3)


@pytest.mark.parametrize("with_test", [False, True])
def test_an_npz(desk, capsys, with_test):
    label = np.repeat([0, 1, 2], [20, 8, 4])
    image = np.random.default_rng(0).integers(0, 256, (32, 8, 8, 1), dtype=np.uint8)
    image[31] = image[0]
    np.savez("my_train.npz", image=image, label=label)
    np.savez("my_test.npz", image=image[:3], label=label[:3])
    arguments = ["my_train.npz", "--json", "found.json", "--config-out", "c.py"]
    assert inspect.main(arguments + ["--test", "my_test.npz"] * with_test) == 0
    found = json.loads(Path("found.json").read_text())
    assert (found["name"], found["undecodable"]) == ("my", [])
    first = ["my_train.npz[0]", "my_train.npz[31]"]
    if with_test:
        assert sorted([*first, "my_test.npz[0]"]) in found["duplicates_across_splits"]
        assert found["counts"] == {"0": 23, "1": 8, "2": 4}
    else:
        assert found["duplicates"] == [first]
        assert found["counts"] == {"0": 20, "1": 8, "2": 4}
    data = load(main.read(["--config", "c.py"])[0].data)
    assert found["proposal"]["test"] == dict(
        zip("012", np.bincount(data.test.label, minlength=3).tolist())
    )


def test_flags_of_the_split_and_the_size(desk):
    flags = ["--size", "12", "--test-per-class", "4", "--config-out", "c.py"]
    assert inspect.main(["zoo", *flags]) == 0
    data = main.read(["--config", "c.py"])[0].data
    assert (data.size, data.test_per_class) == (12, 4)


def test_help_reads_well_and_needs_no_jax(desk):
    code = """if True:
        import sys
        from ltjax.inspect.__main__ import main
        try:
            main(sys.argv[1:])
        except SystemExit as end:
            print("code", end.code, "jax" in sys.modules)
        """
    ended = subprocess.run(
        (sys.executable, "-c", code, "--help"), capture_output=True, text=True
    )
    lines = ended.stdout.splitlines()
    assert lines[-1] == "code 0 False"
    assert max(map(len, lines)) <= 100
    for flag in ("PATH", "--json", "--config-out", "--test", "--size"):
        assert flag in ended.stdout


def test_ctrl_c_is_told_in_one_line(desk, capsys, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(inspect, "inspect", interrupted)
    assert inspect.main(["zoo"]) == 130
    assert capsys.readouterr().err == "ltjax: stopped\n"


def test_a_folder_of_folders(desk, capsys):
    """What is told of it, the flag, and the data of the config that is written."""
    for at in range(4):
        for name in ("wren", "robin"):
            paint(Path(f"life/birds/{name}/{at}.png"), at)
        paint(Path(f"life/rose/{at}.png"), 9 + at)
    Path("life/rose/5.heic").touch()
    Path("life/rose/6").touch()
    assert inspect.main(["life"]) == 0
    out = capsys.readouterr().out
    assert "life: 12 images of 2 classes" in out
    assert (
        "  8 of 12 images lie deeper than in the folder of their class: birds/" in out
    )
    assert (
        "\npassed over: 1 .heic, 1 without a suffix\n  convert .heic to .jpg or" in out
    )
    assert inspect.main(["life", "--nested", "--config-out", "life.py"]) == 0
    out = capsys.readouterr().out
    assert "life: 12 images of 3 classes" in out
    assert "deeper" not in out
    config = main.read(["--config", "life.py"])[0]
    assert config.data.nested
    assert load(config.data).class_names == ("robin", "rose", "wren")
    out = capsys.readouterr().out
    assert "passed over: 1 .heic, 1 without a suffix; convert .heic to .jpg or" in out
    deep = main.read(["--config", "life.py", "--data.nested", "False"])[0]
    assert load(deep.data).class_names == ("birds", "rose")
    assert "8 of 12 images lie deeper" in capsys.readouterr().out


def test_pictures_that_are_alike_come_on_a_page(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for label in "ab":
        Path("photos", label).mkdir(parents=True)
    for at in range(12):
        coarse = Image.fromarray(rng.integers(0, 256, (7, 7, 3)).astype(np.uint8))
        image = coarse.resize((60, 60), Image.Resampling.BICUBIC)
        label = "ab"[at % 2]
        image.save(f"photos/{label}/s{at // 4}_x{at}.png")
        if at == 0:
            image.resize((50, 50)).save("photos/b/again.png")
    words = ["photos", "--group", "(s[0-9]+)", "--page", "alike.html"]
    assert inspect.main([*words, "--config-out", "p.py"]) == 0
    told = capsys.readouterr().out
    assert "near copies in two classes: 1\n  a/s0_x0.png ~ b/again.png\n" in told
    assert "in whole groups" in told
    text = Path("alike.html").read_text()
    assert text.count("<img") == 2
    assert "Near copies in two classes" in text
    assert 'group="(s[0-9]+)"' in Path("p.py").read_text()
    Path("alike.html").write_text("mine")
    assert inspect.main(words) == 2
    assert "--page alike.html exists" in capsys.readouterr().err
    assert Path("alike.html").read_text() == "mine"
