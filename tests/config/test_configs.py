"""Every config of the project can be read, and claims a set that is known."""

import re
import runpy

import jax
import numpy as np
import pytest

from ltjax.config import Config, file, limits
from ltjax.data import manifest
from ltjax.mistake import Mistake
from ltjax.representation.objective import Task
from ltjax.stages import backbones
from ltjax.stages import system as systems

FILES = sorted(path for path in file.CONFIGS.glob("[!_]*.py"))


def variables(path):
    found = runpy.run_path(str(path))
    return [name for name, value in found.items() if isinstance(value, Config)]


PLACES = [f"{path.stem}:{name}" for path in FILES for name in variables(path)]


@pytest.mark.parametrize("place", PLACES)
def test_config(place):
    config = file.read(place)
    limits.check(config)
    data = config.data
    if data.manifest is not None:
        factors = (10, 50, 100, 200) if data.imbalance_factor else (None,)
        for factor in factors:
            manifest.find(data.manifest, factor)
    stem, _, name = place.partition(":")
    text = (file.CONFIGS / f"{stem}.py").read_text()
    told = f"configs/{stem}.py" + (f":{name}" if name != "config" else "")
    assert re.search(rf"python -m ltjax.main --config {re.escape(told)}\s", text)


def test_the_known_sets_have_a_config():
    assert {path.stem for path in FILES} >= {
        "cifar10_lt",
        "cifar100_lt",
        "imagenet_lt",
        "inaturalist2018",
        "places_lt",
    }


def test_one_is_found_by_its_name_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    wanted = file.read(file.CONFIGS / "digits_lt.py")
    for place in ("digits_lt", "digits_lt.py", "configs/digits_lt.py"):
        assert file.read(place) == wanted
        assert file.name_of(place) == "digits_lt"
    with pytest.raises(Mistake, match=r"elsewhere/digits_lt\.py is not a file"):
        file.read("elsewhere/digits_lt.py")
    # What is there is taken.
    text = "from ltjax.config import Config\nconfig = Config(seed=7)\n"
    (tmp_path / "digits_lt.py").write_text(text)
    assert file.read("digits_lt.py").seed == 7
    assert file.read("digits_lt").seed == 0


def test_another_variable_of_a_file_names_its_run(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "from ltjax.config import Config\nconfig = Config()\nlong = Config(seed=1)\n"
    )
    assert file.configured(path) == Config(name="mine")
    assert file.configured(f"{path}:long") == Config(name="mine_long", seed=1)
    found = file.configured(f"{path}:long", ["--name", "x", "--seed", "2"])
    assert found == Config(name="x", seed=2)
    with pytest.raises(Mistake, match=r"assigns no `short`.* it has config, long"):
        file.read(f"{path}:short")


def test_cifar10_has_the_settings_of_cifar100():
    """As its text says."""
    one, other = file.read("cifar10_lt"), file.read("cifar100_lt")
    for part in ("augment", "model", "optim", "swa", "posterior", "classifier"):
        assert getattr(one, part) == getattr(other, part)


def read(name):
    return file.read(f"cifar100_lt_{name}")


@pytest.mark.parametrize(
    ("name", "parameters", "mega"),
    [
        ("ride", 783_856, 100.36),
        ("ride:teacher", 1_543_888, 176.68),
        # The release has a second head for each of the three experts, of 64 x 100.
        ("shike", 1_277_008 - 3 * 6400, 120.13),
        ("mdcs", 783_856, 100.36),
    ],
)
def test_networks_of_experts_have_the_size_of_their_release(name, parameters, mega):
    image = jax.ShapeDtypeStruct((1, 32, 32, 3), np.float32)
    cost = systems.cost(read(name).model.make(100), image)
    assert cost["parameters"] == parameters
    assert abs(cost["macs"] / 1e6 - mega) < 0.005


@pytest.mark.parametrize(
    ("name", "steps", "rates"),
    [
        ("ride", 85, {0: 0.02, 1: 0.04, 4: 0.1, 159: 0.1, 160: 1e-3, 180: 1e-5}),
        (
            "shike",
            85,
            {0: 0.025, 1: 0.05, 4: 0.125, 5: 0.15, 6: 0.149988, 90: 0.078365},
        ),
        (
            "mdcs",
            170,
            {0: 0.005, 9: 0.05, 19: 0.1, 199: 0.1, 200: 0.01, 320: 1e-3, 380: 1e-4},
        ),
    ],
)
def test_their_rates_are_those_of_the_release(name, steps, rates):
    """At the first and the last step of an epoch, counted from 0."""
    task = Task(np.ones(100), steps, read(name).optim.epochs)
    sgd, _ = backbones.of(read(name), task)
    for epoch, wanted in rates.items():
        found = [sgd.rate(steps * epoch), sgd.rate(steps * epoch + steps - 1)]
        np.testing.assert_allclose(found, wanted, rtol=1e-5)


@pytest.mark.parametrize("name", ["ride", "shike", "mdcs"])
def test_a_re_trained_run_has_the_backbones_of_the_plain_one(name):
    for form, more in (("config", "srepr"), ("cpu", "srepr_cpu")):
        plain, more = read(f"{name}:{form}"), read(f"{name}:{more}")
        parts = "seed", "data", "augment", "model", "objective", "optim", "swa"
        for part in (*parts, "posterior"):
            assert getattr(plain, part) == getattr(more, part)
        assert "srepr" in more.classifier.methods
