"""The devices of a run: all in one row, over which every batch of images is split.

Those of all processes, where a run has several. Weights, moments and data sets lie
whole on each. The compiler splits the work and adds the sums, over the whole batch in
batch norm too, so that a run differs from one on a single device by rounding only.
"""

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding

from ltjax.mistake import Mistake


def mesh():
    """All devices of JAX's default backend, along the one axis "data"."""
    return jax.make_mesh((jax.device_count(),), ("data",), axis_types=(AxisType.Auto,))


def everywhere():
    """The sharding of arrays that lie whole on every device."""
    return NamedSharding(mesh(), jax.P())


def whole(tree):
    """The tree, the same in every process, to lie whole on every device of all."""
    sharding = everywhere()
    if sharding.is_fully_addressable:
        return jax.device_put(tree, sharding)

    # Not `device_put`, which would send everything to all processes to compare it.
    def place(leaf):
        values = np.asarray(leaf)
        return jax.make_array_from_callback(
            values.shape, sharding, lambda index: values[index]
        )

    return jax.tree.map(place, tree)


def cut(leaf):
    """The sharding that cuts an array along its last axis that the devices divide.

    Whole on every device where there is none. The leading axis is left alone.
    """
    count = mesh().size
    for axis in range(leaf.ndim - 1, 0, -1):
        if leaf.shape[axis] % count == 0:
            return NamedSharding(mesh(), jax.P(*[None] * axis, "data"))
    return everywhere()


def split():
    """The sharding of arrays cut along their leading axis, a part on each device."""
    return NamedSharding(mesh(), jax.P("data"))


def spread(images):
    """The same images, split over the devices; inside compiled functions only.

    Where the devices do not divide the images, the last parts are smaller or empty.
    """
    return jax.lax.with_sharding_constraint(images, split())


def local(tree):
    """On the first device here: of arrays that lie whole on every device, its copy."""

    def place(leaf):
        if isinstance(leaf, np.ndarray):
            return jax.device_put(leaf, jax.local_devices()[0])
        return leaf.addressable_data(0)

    return jax.tree.map(place, tree)


def check(name, batch_size):
    """Raises `Mistake` unless the devices divide the batch size called `name`."""
    count = mesh().size
    if batch_size % count:
        below = batch_size - batch_size % count
        near = " or ".join(str(size) for size in (below, below + count) if size)
        raise Mistake(
            f"{name} is {batch_size}, not a multiple of the {count} devices; "
            f"give {near}, or show JAX fewer devices"
        )
