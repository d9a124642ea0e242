"""Where the deviations of a posterior, such as SWAG, lie while it is collected.

They are K times the weights, more than all else that a training carries: whole on every
device, cut over the devices, or in the host's memory. What is saved is the same for
all, so that a run may go on with them elsewhere.
"""

import jax
import numpy as np

from ltjax.runtime import devices


class OnDevice:
    """Deviations that the training carries, with a sharding of their own, or none."""

    def __init__(self, rank, sharding):
        """`sharding(leaf)` is that of deviations [K, ...]."""
        self.rank = rank
        self._sharding = sharding

    def begun(self, carry):
        """What the devices have of an empty carry (state, posterior)."""
        return carry

    def shardings(self, carry):
        """The shardings of a carry, or of its shapes."""
        state, posterior = jax.tree.map(lambda leaf: devices.everywhere(), carry)
        if self.rank:
            cut = jax.tree.map(self._sharding, carry[1].deviations)
            posterior = posterior.replace(deviations=cut)
        return state, posterior

    def like(self, shapes):
        """What `whole` returns for carries of these shapes, as shapes and shardings."""
        return jax.tree.map(_placed, shapes, self.shardings(shapes))

    def whole(self, carry):
        """What to save of the carry after an epoch."""
        return carry

    def resumed(self, saved):
        """The carry to go on with from what was saved."""
        return saved


class OnHost(OnDevice):
    """Deviations in NumPy arrays; the device has those of one epoch.

    Every process of a run has its own copy.
    """

    def __init__(self, rank, per_epoch):
        """`per_epoch` is the largest number of snapshots in an epoch."""
        super().__init__(
            min(rank, max(per_epoch, 2)), lambda leaf: devices.everywhere()
        )
        self._slots = rank
        self._count = 0
        self._ring = None

    def begun(self, carry):
        """With the slots of an epoch."""
        state, posterior = carry
        few = jax.tree.map(lambda leaf: leaf[: self.rank], posterior.deviations)
        return state, posterior.replace(deviations=few)

    def like(self, shapes):
        """With NumPy arrays for all deviations, to be filled."""
        state, posterior = super().like(shapes)
        self._ring = self._ring or jax.tree.map(self._zeros, posterior.deviations)
        return state, posterior.replace(deviations=self._ring)

    def whole(self, carry):
        """Fetches the deviations that are new to the host."""
        state, posterior = carry
        count = int(posterior.count)
        new = range(max(self._count, count - self.rank), count)
        fresh = devices.local(posterior.deviations)
        for ring, leaf in zip(jax.tree.leaves(self._ring), jax.tree.leaves(fresh)):
            for number in new:
                ring[number % self._slots] = leaf[number % self.rank]
        self._count = count
        return state, posterior.replace(deviations=self._ring)

    def resumed(self, saved):
        """Keeps what was saved; the device's own are not looked at again."""
        state, posterior = saved
        self._ring, self._count = posterior.deviations, int(posterior.count)
        empty = jax.tree.map(
            lambda ring: np.zeros((self.rank, *ring.shape[1:]), ring.dtype), self._ring
        )
        return state, posterior.replace(deviations=devices.whole(empty))

    def _zeros(self, leaf):
        return np.zeros((self._slots, *leaf.shape[1:]), leaf.dtype)


def of(backbone, place):
    """Those of a `Backbone`, which has none where it keeps no deviations."""
    kept = backbone.deviations
    if kept is None:
        return placed("device", 0, 0)
    return placed(place, kept.rank, kept.snapshots)


def placed(place, rank, per_epoch):
    """The deviations of `swa.place` "device", "sharded" or "host"."""
    match place:
        case "device":
            return OnDevice(rank, lambda leaf: devices.everywhere())
        case "sharded":
            return OnDevice(rank, devices.cut)
        case "host":
            return OnHost(rank, per_epoch)
    raise ValueError(f"place is {place!r}, not 'device', 'sharded' or 'host'")


def _placed(leaf, sharding):
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)
