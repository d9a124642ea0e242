"""Inference in which each sample is seen by as many experts as it asks for.

Samples that ask for a further expert wait in its queue until a batch is full; then the
expert runs once on the batch. So an expert does no work for samples that did not ask,
every program has one shape, and all of it is one compiled loop.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class Routed(NamedTuple):
    """What came out for N images, and what it took."""

    logits: jax.Array  # [N, C], the mean over the experts used
    used: jax.Array  # [N], how many were: 1..E
    ran: jax.Array  # [E], images that each ran on, empty places of a batch included


class _Queue(NamedTuple):
    """A ring of two batches, of which `size` places from `start` on are taken."""

    items: Any
    start: jax.Array
    size: jax.Array


def run(shared, expert, ask, experts, images, batch_size):
    """Routes images [N, ...] through so many experts, in batches of `batch_size`.

    `shared(images [B, ...])` gives what all experts take, a tree of leading axis B,
    `expert(i, maps)` the features [B, D] and logits [B, C] of expert i = 0, 1, ..., and
    `ask(i, features, mean_logits)` [B] who asks for expert i + 1, given the mean logits
    of the experts 0 to i. Who does not ask is done. An expert runs on all the samples
    that ask for it, and on at most `batch_size` - 1 empty places. Returns `Routed`.

    For `jax.jit`; under `vmap` every expert would run for every sample. Raises
    `ValueError` for no images, no experts or an empty batch.
    """
    count = len(images)
    if min(count, experts, batch_size) < 1:
        raise ValueError(
            f"{count} images, {experts} experts, batches of {batch_size}; each must be "
            "at least 1"
        )
    images, batches = jnp.asarray(images), -(-count // batch_size)
    slots, see = jnp.arange(batch_size), _make_see(expert, ask, experts)

    def begin(rows):
        maps = shared(jnp.take(images, rows, axis=0, mode="clip"))
        return maps, *see(0, maps, jnp.zeros((batch_size, classes), jnp.float32))

    probe = jax.eval_shape(lambda rows: shared(images[rows]), slots)
    classes = jax.eval_shape(lambda maps: expert(0, maps)[1], probe).shape[-1]
    nothing = jax.tree.map(
        lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(begin, slots)
    )

    def step(carry, number):
        result, queues = carry
        queues = list(queues)
        rows = jnp.minimum(number * batch_size + slots, count)
        maps, total, more = jax.lax.cond(
            number < batches, begin, lambda rows: nothing, rows
        )
        result = _noted(result, 0, rows, total)
        for index in range(1, experts):
            queue = _push(queues[index - 1], (rows, maps, total), more & (rows < count))
            # After the last images the queues are emptied, one after the other.
            least = jnp.where(number < batches + index - 1, batch_size, 1)
            queues[index - 1], batch, taken = _served(queue, least, batch_size)
            rows, maps, total = batch
            rows = jnp.where(slots < taken, rows, count)
            total, more = jax.lax.cond(
                taken > 0,
                partial(see, index),
                lambda maps, total: (total, jnp.zeros(batch_size, bool)),
                maps,
                total,
            )
            result = _noted(result, index, rows, total)
        return (result, tuple(queues)), None

    maps, total, _ = nothing
    queues = (_empty((slots, maps, total)),) * (experts - 1)
    steps = jnp.arange(batches + experts - 1)
    return jax.lax.scan(step, (_nobody(count, classes, experts), queues), steps)[0][0]


def _nobody(count, classes, experts):
    """`Routed` before anything has run."""
    logits = jnp.zeros((count, classes), jnp.float32)
    return Routed(logits, jnp.zeros(count, jnp.int32), jnp.zeros(experts, jnp.int32))


def _make_see(expert, ask, experts):
    """Builds `see(index, maps, total)`: one more expert runs.

    It gives the sum of logits so far, and who asks for the next one.
    """

    def see(index, maps, total):
        features, logits = expert(index, maps)
        total = total + logits
        if index == experts - 1:
            return total, jnp.zeros(len(total), bool)
        return total, ask(index, features, total / (index + 1))

    return see


def _noted(result, index, rows, total):
    """The ensemble so far written down; a row of the number of images is nobody's."""
    count, batch_size = len(result.logits), len(rows)
    logits = result.logits.at[rows].set(total / (index + 1), mode="drop")
    used = result.used.at[rows].set(index + 1, mode="drop")
    # A turn without a row did not take place.
    ran = result.ran.at[index].add(jnp.where((rows < count).any(), batch_size, 0))
    return Routed(logits, used, ran)


def _served(queue, least, batch_size):
    """The queue after its first ones, those in a batch, and how many of it they are.

    None are taken where fewer than `least` wait.
    """
    taken = jnp.where(queue.size >= least, jnp.minimum(queue.size, batch_size), 0)
    return _advance(queue, taken), _first(queue, batch_size), taken


def _empty(batch):
    double = jax.tree.map(lambda leaf: jnp.concatenate([leaf, leaf]), batch)
    return _Queue(double, jnp.int32(0), jnp.int32(0))


def _push(queue, batch, wanted):
    """The queue with the wanted ones of a batch at its end."""
    length = _length(queue)
    places = queue.start + queue.size + jnp.cumsum(wanted) - 1
    places = jnp.where(wanted, places % length, length)
    items = jax.tree.map(
        lambda old, new: old.at[places].set(new, mode="drop"), queue.items, batch
    )
    return _Queue(items, queue.start, queue.size + wanted.sum())


def _first(queue, count):
    places = (queue.start + jnp.arange(count)) % _length(queue)
    return jax.tree.map(lambda leaf: leaf[places], queue.items)


def _advance(queue, taken):
    start = (queue.start + taken) % _length(queue)
    return _Queue(queue.items, start, queue.size - taken)


def _length(queue):
    return len(jax.tree.leaves(queue.items)[0])
