"""Save and restore trees of arrays: the only user of orbax.

Every save is atomic: orbax writes into a temporary folder and renames it.
"""

import jax
import numpy as np
from orbax.checkpoint import v1 as ocp


def keeper(folder, keep=2):
    """A context that saves and restores the steps of one training under `folder`.

    The `keep` newest steps stay. Use with `save_step` and `restore_latest`.
    """
    newest = ocp.training.preservation_policies.LatestN(keep)
    return ocp.training.Checkpointer(
        folder.absolute(), preservation_policy=newest, cleanup_tmp_directories=True
    )


def save_step(keeper, step, tree):
    """Writes `tree` as the state after `step`."""
    keeper.save(step, tree)


def restore_latest(keeper, like):
    """The newest step and its tree, placed like `like`; None where nothing is saved.

    Raises `ValueError` if the shapes or types saved are not those of `like`.
    """
    if keeper.latest is None:
        return None
    step = keeper.latest.step
    _refuse_difference(keeper.metadata(step).metadata, like)
    return step, keeper.load(step, _abstract(like))


def latest_step(folder):
    """The newest step that a keeper saved under `folder`; None where there is none."""
    steps = (path.name for path in folder.glob("*") if path.is_dir())
    return max((int(name) for name in steps if name.isdigit()), default=None)


def save(path, tree, note=None):
    """Writes `tree` to the new folder `path`, with a JSON `note` beside it."""
    ocp.save(path.absolute(), tree, custom_metadata=note)


def load(path, like):
    """The tree saved at `path`, placed like `like`, which has its shapes and types."""
    _refuse_difference(ocp.metadata(path.absolute()).metadata, like)
    return ocp.load(path.absolute(), _abstract(like))


def load_as_saved(path):
    """The tree saved at `path`, with the shapes and types it has, on one device."""
    saved = ocp.metadata(path.absolute()).metadata
    shapes = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), saved
    )
    return ocp.load(path.absolute(), _abstract(shapes))


def note(path):
    """The JSON note saved with the tree at `path`; None where nothing is saved."""
    if not path.exists():
        return None
    return ocp.metadata(path.absolute()).custom_metadata


def _abstract(like):
    """Shapes, types, shardings: without shardings orbax would restore the saved ones.

    A leaf that has none yet goes to the default device, a NumPy array stays one.
    """
    default = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])

    def abstract(leaf):
        if isinstance(leaf, np.ndarray):
            return leaf
        sharding = getattr(leaf, "sharding", None) or default
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)

    return jax.tree.map(abstract, like)


def _refuse_difference(saved, like):
    """Orbax casts to another type in silence, and does not say which shape is wrong."""
    saved, like = _leaves(saved), _leaves(like)
    for name in sorted(saved.keys() | like.keys()):
        found, wanted = (tree.get(name, "nothing") for tree in (saved, like))
        if found != wanted:
            raise ValueError(f"the checkpoint holds {found} at {name!r}, not {wanted}")


def _leaves(tree):
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): (
            f"{leaf.dtype}{list(leaf.shape)}"
        )
        for path, leaf in jax.tree.leaves_with_path(tree)
    }
