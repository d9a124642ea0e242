"""Genuine TFDS sets are written to a folder, without a network, and read back."""

import dataclasses
import importlib.util
import io
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from ltjax.config import Data
from ltjax.data import sources, streamed
from ltjax.mistake import Mistake
from ltjax.stages import loading

tensorflow_datasets = pytest.importorskip("tensorflow_datasets")
pytest.importorskip("array_record")
Image = pytest.importorskip("PIL.Image")

CIFAR_LABEL = np.random.default_rng(1).integers(0, 100, 40)
CIFAR_IMAGE = np.random.default_rng(2).integers(0, 256, (40, 32, 32, 3), np.uint8)


def png(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    file.seek(0)
    return file


class OwnTails(tensorflow_datasets.core.GeneratorBasedBuilder):
    """Three classes; the splits and the images are set before it is prepared."""

    VERSION = tensorflow_datasets.core.Version("1.0.0")
    splits = ("train", "validation")
    image_name = "image"
    heights = (8, 8)

    def _info(self):
        features = tensorflow_datasets.features
        return tensorflow_datasets.core.DatasetInfo(
            builder=self,
            features=features.FeaturesDict(
                {
                    self.image_name: features.Image(shape=(None, None, 3)),
                    "label": features.ClassLabel(num_classes=3),
                }
            ),
        )

    def _split_generators(self, dl_manager):
        return {name: self._generate_examples(name) for name in self.splits}

    def _generate_examples(self, name):
        for row in range(6 if name == "train" else 2):
            image = np.full((self.heights[row % 2], 8, 3), 10 * row, np.uint8)
            yield row, {self.image_name: png(image), "label": row % 3}


def prepare(builder):
    builder.download_and_prepare()
    return Path(builder.data_dir)


def prepare_own(folder, monkeypatch, **settings):
    for name, value in settings.items():
        monkeypatch.setattr(OwnTails, name, value)
    return prepare(OwnTails(data_dir=folder, file_format="array_record"))


@pytest.fixture(scope="module")
def cifar100(tmp_path_factory):
    """The registered CIFAR-100 with 30 training and 10 test images of ours."""
    folder = tmp_path_factory.mktemp("tfds")
    builder = tensorflow_datasets.builder(
        "cifar100", data_dir=folder, file_format="array_record"
    )

    def examples(prefix, rows):
        for place, row in enumerate(rows):
            yield (
                place,
                {
                    "image": png(CIFAR_IMAGE[row]),
                    "label": int(CIFAR_LABEL[row]),
                    "coarse_label": 0,
                    "id": f"{prefix}{place:05d}",
                },
            )

    builder._split_generators = lambda dl_manager: {
        "train": examples("train_", range(30)),
        "test": examples("test_", range(30, 40)),
    }
    prepare(builder)
    return folder


def refused(call):
    """The one line in which `call` is refused."""
    with pytest.raises(Mistake) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_cifar100_comes_back_in_the_official_order(cifar100):
    data = sources.tfds("cifar100", cifar100)
    assert (data.name, data.classes) == ("cifar100", 100)
    np.testing.assert_array_equal(data.train.image, CIFAR_IMAGE[:30])
    np.testing.assert_array_equal(data.train.label, CIFAR_LABEL[:30])
    np.testing.assert_array_equal(data.test.image, CIFAR_IMAGE[30:])
    np.testing.assert_array_equal(data.test.label, CIFAR_LABEL[30:])
    assert data.train.image.dtype == np.uint8
    assert data.train.label.dtype == np.int32


def test_a_prepared_set_is_not_downloaded_again(cifar100, monkeypatch):
    def download(*_, **__):
        raise AssertionError("downloaded")

    core = tensorflow_datasets.core.DatasetBuilder
    monkeypatch.setattr(core, "download_and_prepare", download)
    data = sources.tfds("cifar100", cifar100, download=True)
    assert len(data.train.label) == 30


def test_tensorflow_is_not_imported_even_if_it_is_there(cifar100, tmp_path):
    # A stand-in that leaves a trace; TFDS only asks whether TensorFlow is installed.
    package, trace = tmp_path / "tensorflow", tmp_path / "imported"
    package.mkdir()
    (package / "__init__.py").write_text(f"open({str(trace)!r}, 'w').close()\n")
    program = (
        "import importlib.util, sys\n"
        f"sys.path.insert(0, {str(tmp_path)!r})\n"
        "assert importlib.util.find_spec('tensorflow')\n"
        "from ltjax.data import sources\n"
        f"data = sources.tfds('cifar100', {str(cifar100)!r})\n"
        "print(len(data.train.label), 'tensorflow' in sys.modules)\n"
    )
    out = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True
    )
    assert out.stdout == "30 False\n", out.stderr
    assert not trace.exists()


def test_validation_stands_in_for_a_missing_test_split(tmp_path, monkeypatch):
    prepare_own(tmp_path, monkeypatch)
    data = sources.tfds("own_tails", tmp_path)
    assert (data.name, data.classes) == ("own_tails", 3)
    # no `id`: the stored order, in which an image tells its label
    for split, count in ((data.train, 6), (data.test, 2)):
        rows = split.image[:, 0, 0, 0] // 10
        assert sorted(rows) == list(range(count))
        np.testing.assert_array_equal(split.label, rows % 3)
        np.testing.assert_array_equal(split.image.min((1, 2, 3)), 10 * rows)


def test_test_split_is_preferred(tmp_path, monkeypatch):
    prepare_own(tmp_path, monkeypatch, splits=("validation", "test", "train"))
    reads = []
    read = sources._read_tfds

    def watched(path, builder, split):
        reads.append(split)
        return read(path, builder, split)

    monkeypatch.setattr(sources, "_read_tfds", watched)
    sources.tfds("own_tails", tmp_path)
    assert reads == ["train", "test"]


def test_a_set_that_is_not_prepared_names_folder_and_flag(tmp_path):
    message = refused(lambda: sources.tfds("cifar100", tmp_path))
    assert str(tmp_path / "cifar100") in message
    assert "--data.download True" in message
    assert not list(tmp_path.iterdir())


def test_home_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    message = refused(lambda: sources.tfds("cifar100", "~/sets"))
    assert str(tmp_path / "sets" / "cifar100") in message


def test_a_failed_download_is_told_in_one_line(tmp_path, monkeypatch):
    def unreachable(self):
        raise OSError("no route to host\nand more")

    core = tensorflow_datasets.core.DatasetBuilder
    monkeypatch.setattr(core, "download_and_prepare", unreachable)
    message = refused(lambda: sources.tfds("cifar100", tmp_path, download=True))
    assert "could not be prepared" in message
    assert message.endswith("OSError: no route to host")


def test_download_prepares_array_record(tmp_path):
    data = sources.tfds("own_tails", tmp_path, download=True)
    assert len(data.train.label) == 6
    info = json.loads((tmp_path / "own_tails/1.0.0/dataset_info.json").read_text())
    assert info["fileFormat"] == "array_record"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cifer100", ["no data set 'cifer100'", "did you mean 'cifar100'?"]),
        ("qqqqqqqqqq", ["no data set 'qqqqqqqqqq'"]),
        ("cifar100:9.9.9", ["cifar100:9.9.9", "only: 3.0.2"]),
        ("cifar100/none", ["cifar100/none", "BuilderConfig none not found"]),
        ("a b", ["'a b'", "Parsing builder name"]),
    ],
)
def test_an_unknown_name(tmp_path, name, words):
    message = refused(lambda: sources.tfds(name, tmp_path))
    for word in words:
        assert word in message


def test_a_missing_array_record_names_the_extra(cifar100, monkeypatch):
    find_spec = importlib.util.find_spec

    def without(name, package=None):
        return None if name == "array_record" else find_spec(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    message = refused(lambda: sources.tfds("cifar100", cifar100))
    assert "pip install 'ltjax[large]'" in message


def test_another_file_format_is_refused(tmp_path, monkeypatch):
    info = prepare_own(tmp_path, monkeypatch) / "dataset_info.json"
    text = info.read_text()
    assert '"fileFormat": "array_record"' in text
    info.write_text(text.replace("array_record", "tfrecord"))
    message = refused(lambda: sources.tfds("own_tails", tmp_path))
    assert "stored as 'tfrecord', wanted array_record" in message


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"splits": ("train",)}, ["splits 'train'", "'test' (or 'validation')"]),
        ({"splits": ("test",)}, ["splits 'test'", "'train'"]),
        ({"image_name": "photo"}, ["features 'label', 'photo'", "'image'"]),
        ({"heights": (8, 9)}, ["split 'train'", "(8, 8, 3)", "(9, 8, 3)", "one shape"]),
    ],
)
def test_a_set_that_does_not_fit(tmp_path, monkeypatch, settings, words):
    prepare_own(tmp_path, monkeypatch, **settings)
    message = refused(lambda: sources.tfds("own_tails", tmp_path))
    for word in words:
        assert word in message


def test_streamed_it_is_the_same_set(cifar100):
    pytest.importorskip("grain")
    settings = Data(source="tfds:cifar100", directory=str(cifar100), stream=True)
    data = loading.load(settings, Console(quiet=True))
    assert (data.name, data.classes) == ("cifar100", 100)
    assert data.train.image.shape == (30, 32, 32, 3)
    np.testing.assert_array_equal(streamed.sample(data.train.image), CIFAR_IMAGE[:30])
    np.testing.assert_array_equal(data.train.label, CIFAR_LABEL[:30])
    np.testing.assert_array_equal(streamed.sample(data.test.image), CIFAR_IMAGE[30:])
    np.testing.assert_array_equal(data.test.label, CIFAR_LABEL[30:])
    # Another size than its own is streamed without being told.
    settings = dataclasses.replace(settings, stream=None, size=8)
    data = loading.load(settings, Console(quiet=True))
    assert data.train.image.shape == (30, 8, 8, 3)


def test_images_of_several_shapes_are_streamed(tmp_path, monkeypatch):
    pytest.importorskip("grain")
    # The builder's own name for the registry is that of its class.
    prepare_own(tmp_path, monkeypatch, heights=(8, 16))
    settings = Data(source="tfds:own_tails", directory=str(tmp_path), size=8)
    data = loading.load(settings, Console(quiet=True))
    assert (data.classes, len(data.train.label), len(data.test.label)) == (3, 6, 2)
    assert data.train.image.shape == (6, 8, 8, 3)
    greys = streamed.sample(data.train.image)[:, 0, 0, 0]
    assert sorted(greys.tolist()) == [0, 10, 20, 30, 40, 50]
    assert (greys // 10 % 3 == data.train.label).all()


def test_on_windows_there_is_none_to_install(cifar100, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda *name: None)
    monkeypatch.setattr(sys, "platform", "win32")
    message = refused(lambda: sources.tfds("cifar100", cifar100))
    assert "array_record: there is none for Windows; take a folder, a CSV or" in message


@pytest.mark.parametrize("system", ["linux", "darwin", "win32"])
def test_the_extra_asks_for_what_the_system_has(system):
    requirements = pytest.importorskip("packaging.requirements")
    project = Path(__file__).parents[2] / "pyproject.toml"
    extra = tomllib.loads(project.read_text())["project"]["optional-dependencies"]
    asked = map(requirements.Requirement, extra["large"])
    names = {
        each.name
        for each in asked
        if each.marker is None or each.marker.evaluate({"sys_platform": system})
    }
    assert names == {"grain"} | ({"array_record"} if system != "win32" else set())
