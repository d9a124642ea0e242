"""Pretrained weights of a run: where its training starts, and what it leaves alone.

The first stages can be frozen. They are then no part of the trained network: they turn
images into what it takes, with their batch norm in evaluation mode, and have no
gradient, no weight decay, no momentum, no posterior.
"""

import hashlib
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ltjax.models import resnet, weights

# Mean and standard deviation per channel that torchvision's weights were trained with.
IMAGENET = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


class Pretrained(NamedTuple):
    """The weights of a file, as two trees of variables: "params" and "batch_stats"."""

    features: dict  # of the trained stages; {} without a file
    frozen: dict  # of the frozen stages; {} where there are none
    trunk: Callable  # (frozen, images [B, H, W, ch] float32) -> the network's inputs
    digest: str | None  # of all of them
    moments: tuple | None  # mean and deviation of the pixels that they know


def none():
    """Nothing to start from, and nothing frozen."""
    return Pretrained({}, {}, lambda frozen, images: images, None, None)


def read(path, whole, frozen=0, channels=3):
    """The weights that the file `path` holds for the `ResNet` `whole`.

    Its first `frozen` parts are frozen; the head of the file is left aside. Images have
    `channels` channels.
    """
    image = jax.ShapeDtypeStruct((1, 32, 32, channels), jnp.float32)
    like = jax.eval_shape(whole.init, jax.random.key(0), image)
    like = {name: {"features": tree} for name, tree in like.items()}
    found = weights.to_variables(weights.read(path), like, path)

    def parts(first, last):
        return {
            kind: {
                name: leaves
                for name, leaves in tree["features"].items()
                if first <= resnet.part(name) < last
            }
            for kind, tree in found.items()
        }

    return Pretrained(
        features=parts(frozen, resnet.PARTS),
        frozen=parts(0, frozen) if frozen else {},
        trunk=whole.copy(last=frozen).apply if frozen else none().trunk,
        digest=digest(found),
        moments=IMAGENET,
    )


def begin(variables, pretrained):
    """A network's new variables, with the features of `pretrained` if it has any."""
    return {
        kind: {**tree, "features": pretrained.features[kind]}
        if kind in pretrained.features
        else tree
        for kind, tree in variables.items()
    }


def digest(variables):
    """A hash of all weights of a tree, with their names and shapes."""
    seen = hashlib.sha256()
    for path, leaf in jax.tree.leaves_with_path(variables):
        seen.update(f"{jax.tree_util.keystr(path)} {leaf.shape} ".encode())
        seen.update(np.ascontiguousarray(leaf).data)
    return seen.hexdigest()[:16]
