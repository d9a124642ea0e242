"""The devices of a run: all in one row, over which every batch of images is split.

Weights, posteriors and data sets lie whole on each. The compiler splits the work and
adds the sums, over the whole batch in batch norm too, so that a run differs from one on
a single device by rounding only.
"""

import jax
from jax.sharding import AxisType, NamedSharding

from ltjax.mistake import Mistake


def mesh():
    """All devices of JAX's default backend, along the one axis "data"."""
    return jax.make_mesh((jax.device_count(),), ("data",), axis_types=(AxisType.Auto,))


def everywhere():
    """The sharding of arrays that lie whole on every device."""
    return NamedSharding(mesh(), jax.P())


def split():
    """The sharding of arrays cut along their leading axis, a part on each device."""
    return NamedSharding(mesh(), jax.P("data"))


def spread(images):
    """The same images, split over the devices; inside compiled functions only.

    Where the devices do not divide the images, the last parts are smaller or empty.
    """
    return jax.lax.with_sharding_constraint(images, split())


def local(tree):
    """Of arrays that lie whole on every device, the copy of the first one here."""
    return jax.tree.map(lambda leaf: leaf.addressable_data(0), tree)


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
