"""A process of a run on several hosts: `hosts_worker.py PLACE ADDRESS COUNT INDEX`."""

import dataclasses
import json
import sys
from pathlib import Path

import jax
import numpy as np
import tiny
from flax import linen as nn

from ltjax import backbone, devices, hosts
from ltjax.data import order, sampling
from ltjax.mistake import Mistake
from ltjax.models.batch_norm import BatchNorm
from ltjax.models.convolution import Convolution
from ltjax.run import run

RULES = ("instance", "class", "square_root", "progressive")


class Thin(nn.Module):
    """Features that compile sooner than any of the package."""

    @nn.compact
    def __call__(self, images, train=False):
        x = Convolution(4, name="conv")(images)
        return nn.relu(BatchNorm(name="norm")(x, train)).mean((1, 2))


def lighten(patch):
    """Runs train one backbone, the one with a posterior, and that one thin."""
    patch(backbone, "NAMES", ("swa",))
    patch(backbone, "whole", lambda model: Thin())


def small(place):
    """A config whose data divide by no number of devices, and few programs."""
    config = tiny.config_of(place, imbalance_factor=6)
    return dataclasses.replace(
        config,
        optim=dataclasses.replace(config.optim, lr=0.02),
        classifier=dataclasses.replace(
            config.classifier, methods=("la",), views=1, epochs=1
        ),
    )


def keeping(config, place):
    """The config with its deviations at `place`."""
    return dataclasses.replace(config, swa=dataclasses.replace(config.swa, place=place))


def orders():
    """The order of two epochs under each rule, whole on all devices."""
    labels = np.repeat(np.arange(3), (40, 9, 4))
    index = order.class_index(labels, 3)
    found = {}
    for rule in RULES:
        rows = sampling.batches(rule, index, 8, 3, drop_last=False)
        rows = jax.jit(rows, out_shardings=devices.everywhere())
        epochs = [rows(jax.random.key(epoch), epoch) for epoch in (0, 2)]
        found[rule] = np.stack([np.asarray(epoch) for epoch in epochs])
    return found


def refusal(action):
    try:
        action()
    except Mistake as mistake:
        return str(mistake)
    return None


def complain(index):
    if jax.process_index() == index:
        raise Mistake("a file is missing")


def work(place, address, count, index):
    hosts.join(address, int(count), int(index))
    place, index = Path(place), int(index)
    config = small(place)
    other = dataclasses.replace(config, seed=index)
    told = {
        "together": [refusal(lambda: hosts.together(lambda: complain(1)))],
        "config": refusal(lambda: run(other, place / "never", tiny.quiet())),
        "devices": jax.device_count(),
        "rows": run(keeping(config, "sharded"), place / "pair", tiny.quiet())["rows"],
    }
    (place / f"told{index}.json").write_text(json.dumps(told))
    np.savez(place / f"orders{index}.npz", **orders())


if __name__ == "__main__":
    lighten(setattr)
    work(*sys.argv[1:])
