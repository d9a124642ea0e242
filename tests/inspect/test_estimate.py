"""Estimates: their arithmetic, and that they come from steps that really run."""

import jax
import pytest

from ltjax.config import Augment, CifarResNet, Classifier, Config, Posterior, Sgd
from ltjax.inspect import estimate


def config(**optim):
    return Config(
        augment=Augment(pad=1, flip=True),
        model=CifarResNet(depth=8, width=4),
        optim=Sgd(**{"epochs": 10, "batch_size": 16, **optim}),
        posterior=Posterior(samples=3),
        classifier=Classifier(views=2),
    )


def test_arithmetic(monkeypatch):
    monkeypatch.setattr(estimate, "_step", lambda *arguments: (0.16, 2.0, 1.5, 1000))
    told = estimate.estimate(config(), (8, 8, 3), 4, 165, 20)
    # Two backbones, ten epochs, ten steps.
    assert told["seconds"]["representation"] == pytest.approx(2 * 10 * 10 * 0.16)
    # Of the SGD run one set of weights, of SWA four: statistics, two views and the test
    # images by each, the plain images by the two means.
    passes = 5 * (165 + 2 * 165 + 20) + 2 * 165
    assert told["seconds"]["features"] == pytest.approx(passes * 0.01 / 3)
    assert told["seconds"]["compiling"] == 18
    assert told["seconds"]["total"] == pytest.approx(
        sum(told["seconds"].values()) - told["seconds"]["total"]
    )
    assert told["bytes"] == {"host": 2 * 185 * 192, "device": 185 * 192 + 1000}
    assert told["busy"] == 1.5


@pytest.fixture
def hasty():
    """Compiling takes most of the time."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def test_steps_are_timed(hasty):
    told = estimate.estimate(config(), (8, 8, 3), 4, 100, 20)
    assert told["seconds_per_step"] > 0
    assert told["images_per_second"] == pytest.approx(16 / told["seconds_per_step"])
    assert told["seconds"]["compiling"] > told["seconds_per_step"]
    # At least the activations of the first stage, 4 channels of float32.
    assert told["bytes"]["device"] > 16 * 8 * 8 * 4 * 4
    assert told["busy"] > 0
