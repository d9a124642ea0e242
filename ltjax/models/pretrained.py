"""Pretrained weights of a run: where its training starts, and what it leaves alone.

The first parts in which nothing trains are the trunk. It is no part of the network that
is trained: it turns images into what that takes, once for all draws, with its batch
norm in evaluation mode. What else is fixed is the business of `models.partition`.
"""

import hashlib
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ltjax.models import partition, resnet, weights

# Mean and standard deviation per channel that torchvision's weights were trained with.
IMAGENET = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


class Pretrained(NamedTuple):
    """The weights of a file, as two trees of variables: "params" and "batch_stats"."""

    features: dict  # of the parts above the trunk; {} without a file
    below: dict  # of the trunk; {} where there is none
    trunk: Callable  # (below, images [B, H, W, ch] float32) -> the network's inputs
    first: int  # part above the trunk
    digest: str | None  # of all of them
    moments: tuple | None  # mean and deviation of the pixels that they know


def none():
    """Nothing to start from, and no trunk."""
    return Pretrained({}, {}, lambda below, images: images, 0, None, None)


def read(path, whole, trained=(), channels=3):
    """The weights that the file `path` holds for the `ResNet` `whole`.

    `trained` are words of `models.partition`; without any all parts train. The head of
    the file is left aside. Images have `channels` channels.
    """
    image = jax.ShapeDtypeStruct((1, 32, 32, channels), jnp.float32)
    like = jax.eval_shape(whole.init, jax.random.key(0), image)
    like = {name: {"features": tree} for name, tree in like.items()}
    found = weights.to_variables(weights.read(path), like, path)
    first = _first(found, trained)

    def parts(begin, end):
        return {
            kind: {
                name: leaves
                for name, leaves in tree["features"].items()
                if begin <= resnet.part(name) < end
            }
            for kind, tree in found.items()
        }

    return Pretrained(
        features=parts(first, resnet.PARTS),
        below=parts(0, first) if first else {},
        trunk=whole.copy(last=first).apply if first else none().trunk,
        first=first,
        digest=digest(found),
        moments=IMAGENET,
    )


def _first(variables, trained):
    """The first part in which anything trains; that after the last if nothing does."""
    own, _ = partition.split(variables, trained)
    trees = (own.get(kind, {}) for kind in variables)
    names = [name for tree in trees for name in tree.get("features", {})]
    return min(map(resnet.part, names), default=resnet.PARTS)


def above(net, pretrained):
    """A `Network` less its trunk."""
    if not pretrained.first:
        return net
    return net.copy(features=net.features.copy(first=pretrained.first))


def begin(variables, pretrained):
    """A network's new variables, with the features of `pretrained` if it has any."""
    return {
        kind: {**tree, "features": _over(tree["features"], known)}
        if (known := pretrained.features.get(kind))
        else tree
        for kind, tree in variables.items()
    }


def within(pretrained, name):
    """The same weights, of features that are a part `name` of others."""
    nested = {kind: {name: tree} for kind, tree in pretrained.features.items()}
    return pretrained._replace(features=nested)


def _over(tree, known):
    """A tree with the leaves of another that has some of them."""
    if not isinstance(known, dict):
        return known
    return {
        name: _over(leaf, known[name]) if name in known else leaf
        for name, leaf in tree.items()
    }


def digest(variables):
    """A hash of all weights of a tree, with their names and shapes."""
    seen = hashlib.sha256()
    for path, leaf in jax.tree.leaves_with_path(variables):
        seen.update(f"{jax.tree_util.keystr(path)} {leaf.shape} ".encode())
        seen.update(np.ascontiguousarray(leaf).data)
    return seen.hexdigest()[:16]
