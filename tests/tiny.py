"""A run small enough for a test, and its data."""

import dataclasses
import json

import numpy as np
from flax import linen as nn
from rich.console import Console

from ltjax.config import (
    Augment,
    Checkpoint,
    CifarResNet,
    Classifier,
    Config,
    Data,
    Posterior,
    Sgd,
    Swa,
)
from ltjax.models.batch_norm import BatchNorm
from ltjax.models.convolution import Convolution
from ltjax.run import run
from ltjax.stages.classifier import Outcome

CLASSES = 4
OFTEN = Checkpoint(every_seconds=0)  # where what is saved on the way is looked at


class Thin(nn.Module):
    """Features of two small layers, which compile sooner than any of the package."""

    @nn.compact
    def __call__(self, images, train=False):
        x = Convolution(4, name="conv")(images)
        return nn.relu(BatchNorm(name="norm")(x, train)).mean((1, 2))


def thinned(patch):
    """Runs train `Thin` in place of a ResNet for small images."""
    patch(CifarResNet, "body", lambda model: Thin())


def save(path, counts, seed):
    """Noisy images of a colour per class."""
    label = np.repeat(np.arange(len(counts)), counts)
    noise = np.random.default_rng(seed).integers(0, 120, (len(label), 8, 8, 1))
    image = noise + 40 * label[:, None, None, None]
    np.savez(path, image=image.astype(np.uint8), label=label)


def config_of(place, **data):
    files = {"train": str(place / "train.npz"), "test": str(place / "test.npz")}
    return Config(
        name="tiny",
        data=Data(source="npz", **files, **data),
        augment=Augment(pad=1, flip=True),
        model=CifarResNet(depth=8, width=4),
        optim=Sgd(epochs=4, warmup_epochs=1, batch_size=16),
        swa=Swa(start=2, every_steps=1, rank=2),
        posterior=Posterior(samples=2, batch_size=20),
        classifier=Classifier(epochs=2, batch_size=16, views=2),
        checkpoint=Checkpoint(every_seconds=3600),  # only at the end
    )


def quiet():
    return Console(quiet=True)


def of_one_pass(row):
    """A row of the results, without what its draws say of refusing."""
    kept = {name: of for name, of in row["refusal"].items() if name != "disagreement"}
    return {**row, "refusal": kept}


def timeless(tree):
    """JSON data without what a clock decides."""
    if isinstance(tree, dict):
        clock = ("seconds", "time", "images_per_second")
        return {
            name: timeless(leaf) for name, leaf in tree.items() if name not in clock
        }
    return [timeless(leaf) for leaf in tree] if isinstance(tree, list) else tree


class Place:
    """A folder with data, a config for them, and a finished run of it."""

    def __init__(self, path, **changes):
        self.path = path
        save(path / "train.npz", [24] * CLASSES, 0)
        save(path / "test.npz", [5] * CLASSES, 1)
        config = config_of(path, imbalance_factor=6)  # 24, 13, 7 and 4 images
        self.config = dataclasses.replace(config, **changes)
        self.out = path / "done"
        self.results = run(self.config, self.out, quiet())

    def read(self, name):
        return strict_json((self.out / name).read_text())


def strict_json(text):
    def refuse(constant):
        raise ValueError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


def untrained(rows=(), accuracy=None):
    """For `run.stages`: what a run comes to without training anything."""

    def stages(config, system, loader, folder):
        return [Outcome(list(rows), accuracy or {}, predicted={})]

    return stages


def with_draws(backbones):
    """Those of the backbones that have a posterior."""
    return [backbone for backbone in backbones if backbone.draws]
