"""What is timed: a ResNet-32 for 100 classes, in batches of 128 images of 32 × 32 × 3.

The images are noise, which takes as long as any others, and uint8, scaled on the way.
"""

from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ltjax import config, losses
from ltjax.data import longtail
from ltjax.data.augment import geometry
from ltjax.representation import epoch, schedule, step

COUNT = 10_847  # training images of CIFAR-100-LT at factor 100
CLASSES, BATCH = 100, 128
MEAN, STD = (0.5, 0.49, 0.44), (0.27, 0.26, 0.28)
SGD = (0.01, 0.9, 5e-4)  # rate, momentum, weight decay


class Shared(NamedTuple):
    """What all pairs start from."""

    net: object
    variables: dict
    images: np.ndarray  # [COUNT, 32, 32, 3]
    labels: np.ndarray
    counts: np.ndarray  # [CLASSES]
    rng: np.random.Generator


@cache
def shared():
    """Images, labels of a long tail, and the network with its first weights."""
    rng = np.random.default_rng(0)
    counts = longtail.exponential_counts(CLASSES, 500, 100)
    labels = rng.permutation(np.repeat(np.arange(CLASSES), counts)).astype(np.int32)
    images = rng.integers(0, 256, (len(labels), 32, 32, 3), np.uint8)
    return Shared(*network(32), images, labels, counts, rng)


def network(depth):
    """A CIFAR ResNet and its first variables."""
    net = config.CifarResNet(depth=depth).make(CLASSES)
    return net, net.init(jax.random.key(0), jnp.zeros((1, 32, 32, 3)))


def normalise(images):
    """As in a run: uint8 to scaled float32."""
    return geometry.normalise(images, MEAN, STD)


def started(net, variables, collect, posterior=()):
    """An epoch of stage one, compiled, with its carry, which it takes, and its data."""
    at, tx = shared(), schedule.sgd(*SGD)
    run = jax.jit(
        epoch.make_epoch(
            step.make_step(net.apply, losses.cross_entropy, tx),
            epoch.of_images(lambda _, images: normalise(images)),
            collect,
        ),
        donate_argnums=1,
    )
    # Copied, as the carry is donated.
    carry = jax.tree.map(jnp.copy, (step.init(variables, tx), posterior))
    data = {"image": at.images, "label": at.labels}
    return run, *jax.device_put((carry, data))
