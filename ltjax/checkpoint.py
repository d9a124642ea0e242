"""Save and restore trees of arrays: the only user of orbax.

Every save is atomic: orbax writes into a temporary folder and renames it.
"""

import jax
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
    """The newest step and its tree, placed like `like`; None where nothing is saved."""
    if keeper.latest is None:
        return None
    return keeper.latest.step, keeper.load(keeper.latest.step, _abstract(like))


def save(path, tree, note=None):
    """Writes `tree` to the new folder `path`, with a JSON `note` beside it."""
    ocp.save(path.absolute(), tree, custom_metadata=note)


def load(path, like):
    """The tree saved at `path`, placed like `like`."""
    return ocp.load(path.absolute(), _abstract(like))


def note(path):
    """The JSON note saved with the tree at `path`; None where nothing is saved."""
    if not path.exists():
        return None
    return ocp.metadata(path.absolute()).custom_metadata


def _abstract(like):
    """Shapes, types and shardings: without shardings orbax would restore the saved ones.

    A leaf that has none yet goes to the default device.
    """
    default = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(
            leaf.shape, leaf.dtype, sharding=getattr(leaf, "sharding", None) or default
        ),
        like,
    )
