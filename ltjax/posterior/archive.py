"""A SWAG posterior in an `.npz`, from which NumPy alone can draw.

Arrays are named by their place in the tree: `mean/features/conv/kernel`. Of every
tensor there are `mean/...` and `scatter/...`, of its shape, and `deviations/...`, with
a leading axis K. With `count` snapshots, of which the last min(count, K) have their
deviations in D [P, K], a draw is from

    N(mean, scale / 2 (diag(scatter / count) + D D^T / (min(count, K) - 1)))

over all tensors together: the K normal numbers that multiply D are the same for all.
Of K = 0, a diagonal posterior, it is from N(mean, scale diag(scatter / count)).
`batch_stats/...`, if there are any, are those of the mean; a draw has others.
"""

import os
import zipfile
import zlib
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from ltjax.posterior import swag

_TREES = ("mean", "scatter", "deviations")
_STATISTICS = "batch_stats"


def save(path, state, batch_stats=None):
    """Writes a `swag.State` of nested dicts to the file `path`, in one step.

    Deviations in bfloat16 are written as float32, which holds them exactly. Raises
    `ValueError` for a tree that is not of dicts with names.
    """
    trees = {name: getattr(state, name) for name in _TREES}
    trees[_STATISTICS] = batch_stats or {}
    arrays = {"count": np.asarray(state.count)}
    for kind, tree in trees.items():
        for keys, leaf in jax.tree.leaves_with_path(tree):
            arrays["/".join([kind, *map(_name, keys)])] = _plain(leaf)
    path = Path(path)
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        np.savez_compressed(file, **arrays)
    os.replace(part, path)


def load(path):
    """The `swag.State` and the batch-norm statistics, {} if none, that `save` wrote.

    The trees are of nested dicts with JAX arrays. Nothing is unpickled. Raises
    `ValueError`, which names the file, for one that holds no posterior.
    """
    damage = (EOFError, ValueError, TypeError, zipfile.BadZipFile, zlib.error)
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            trees = _nested({name: archive[name] for name in archive.files})
    except damage as error:
        raise ValueError(f"{path} is not a whole .npz of plain arrays") from error
    statistics = trees.pop(_STATISTICS, {})
    if not _fit(trees):
        raise ValueError(f"{path} holds no SWAG posterior")
    trees, statistics = jax.tree.map(jnp.asarray, (trees, statistics))
    return swag.State(**trees), statistics


def _nested(arrays):
    """A tree of dicts from arrays named by their paths."""
    trees = {}
    for name, array in arrays.items():
        *branch, leaf = name.split("/")
        tree = trees
        for part in branch:
            tree = tree.setdefault(part, {})
            if not isinstance(tree, dict):
                raise ValueError(f"{name} is below an array")
        tree[leaf] = array
    return trees


def _fit(trees):
    """Whether these are a count and three trees that belong together."""
    if trees.keys() != {"count", *_TREES}:
        return False
    shapes = [
        jax.tree.map(lambda leaf, cut=cut: leaf.shape[cut:], trees[name])
        for name, cut in (("mean", 0), ("scatter", 0), ("deviations", 1))
    ]
    ranks = {leaf.shape[:1] for leaf in jax.tree.leaves(trees["deviations"])}
    return shapes[0] == shapes[1] == shapes[2] and len(ranks) == 1


def _name(key):
    name = getattr(key, "key", None)
    if not isinstance(name, str) or "/" in name:
        raise ValueError(f"{key} is no name; a posterior is saved as nested dicts")
    return name


def _plain(leaf):
    array = np.asarray(leaf)
    return array.astype(np.float32) if array.dtype == jnp.bfloat16 else array
