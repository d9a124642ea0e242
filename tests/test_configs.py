"""Every config of the project can be read, and claims a set that is known."""

from pathlib import Path

import pytest

from ltjax import config_file, limits
from ltjax.data import manifest

CONFIGS = sorted((Path(__file__).parent.parent / "configs").glob("*.py"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_config(path):
    config = config_file.read(path)
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
    one, other = (
        config_file.read(CONFIGS[0].parent / f"cifar{n}_lt.py") for n in (10, 100)
    )
    for part in ("model", "optim", "swa", "posterior", "classifier"):
        assert getattr(one, part) == getattr(other, part)
