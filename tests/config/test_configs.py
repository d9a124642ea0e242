"""Every config of the project can be read, and claims a set that is known."""

from pathlib import Path

import jax
import numpy as np
import pytest

from ltjax.config import file, limits
from ltjax.data import manifest
from ltjax.representation.objective import Task
from ltjax.stages import backbone
from ltjax.stages import system as systems

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.py"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_config(path):
    config = file.read(path)
    limits.check(config)
    data = config.data
    if data.manifest is not None:
        factors = (10, 50, 100, 200) if data.imbalance_factor else (None,)
        for factor in factors:
            manifest.find(data.manifest, factor)
    text = path.read_text()
    assert f"python -m ltjax.main --config configs/{path.name}" in text


def test_the_known_sets_have_a_config():
    assert {path.stem for path in CONFIGS} >= {
        "cifar10_lt",
        "cifar100_lt",
        "imagenet_lt",
        "inaturalist2018",
        "places_lt",
    }


def test_cifar10_has_the_settings_of_cifar100():
    """As its text says."""
    one, other = (file.read(CONFIGS[0].parent / f"cifar{n}_lt.py") for n in (10, 100))
    for part in ("model", "optim", "swa", "posterior", "classifier"):
        assert getattr(one, part) == getattr(other, part)


def read(name):
    return file.read(CONFIGS[0].parent / f"cifar100_lt_{name}.py")


@pytest.mark.parametrize(
    ("name", "parameters", "mega"),
    [
        ("ride", 783_856, 100.36),
        ("ride_teacher", 1_543_888, 176.68),
        # The release has a second head for each of the three experts, of 64 x 100.
        ("shike", 1_277_008 - 3 * 6400, 120.13),
        ("mdcs", 783_856, 100.36),
    ],
)
def test_networks_of_experts_have_the_size_of_their_release(name, parameters, mega):
    image = jax.ShapeDtypeStruct((1, 32, 32, 3), np.float32)
    cost = systems.cost(backbone.network(read(name).model, 100), image)
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
    sgd, _ = systems.backbones(read(name), task)
    for epoch, wanted in rates.items():
        found = [sgd.rate(steps * epoch), sgd.rate(steps * epoch + steps - 1)]
        np.testing.assert_allclose(found, wanted, rtol=1e-5)


@pytest.mark.parametrize("name", ["ride", "shike", "mdcs"])
def test_a_re_trained_run_has_the_backbones_of_the_plain_one(name):
    for form in ("", "_cpu"):
        plain, more = read(name + form), read(f"{name}_srepr{form}")
        for part in ("seed", "data", "model", "optim", "swa", "posterior"):
            assert getattr(plain, part) == getattr(more, part)
        assert "srepr" in more.classifier.methods
