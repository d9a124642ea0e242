"""Members of a posterior: its mean and its draws, with their statistics."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from ltjax.posterior import batch_norm, predictive, swag, trees


@struct.dataclass
class Members:
    """Names the mean (scale 0) and M draws; all that is needed to draw them again."""

    key: jax.Array  # [M + 1]
    scale: jax.Array  # [M + 1]


def members(
    key, posterior, draws, apply, images, *, scale=1.0, batch_size=1000, chunk=1
):
    """The mean and `draws` draws of a `swag.State`: variables [draws + 1, ...].

    {"params": ..., "batch_stats": ...} with the mean first, each with statistics of its
    own, re-estimated on `images` [N, ...], which are augmented as in training: what
    `batch_norm.refresh` says of them, `apply`, `batch_size` and `chunk` holds here.
    `scale` is that of `swag.sample`. All members exist at the same time; `make` names
    them, for more of them than there is room for.

    >>> import jax
    >>> import numpy as np
    >>> from ltjax.posterior import members, predictive, swag
    >>> posterior = swag.init({"slope": np.zeros(2)}, rank=2)
    >>> for slope in ([1.0, 4.0], [3.0, 0.0]):
    ...     posterior = swag.update(posterior, {"slope": np.array(slope)})
    >>> apply = lambda v, x: v["params"]["slope"][None] * x, lambda v, x: {}
    >>> key, images = jax.random.key(0), np.ones((5, 2))
    >>> found = members.members(key, posterior, 3, apply, images)
    >>> found["params"]["slope"].shape, found["params"]["slope"][0]
    ((4, 2), Array([2., 2.], dtype=float32))
    >>> predictive.features(found, lambda one: one, apply, images).shape
    (4, 5, 2)
    """
    named = make(key, draws, scale)
    params = swag.draws(named.key, posterior, named.scale)
    stats = batch_norm.refresh(
        lambda own: {"params": own}, params, apply, images, batch_size, chunk
    )
    return {"params": params, "batch_stats": stats}


def make(key, samples, scale):
    """The `Members` of the mean, which comes first, and `samples` draws."""
    scales = jnp.full(samples + 1, scale, jnp.float32).at[0].set(0.0)
    return Members(jax.random.split(key, samples + 1), scales)


def first(members):
    """Only the mean, with leading axis 1."""
    return at(members, 0)


def at(members, number):
    """Only one member, with leading axis 1."""

    return jax.tree.map(lambda leaf: leaf[number : number + 1], trees.clone(members))


def one_by_one(compute, leading):
    """`compute` of many members that lie outside the device, one after another.

    Of the arguments of `compute(weights, *of_members, *others)` the `leading` ones
    after the weights, and all it returns, have a leading axis M.
    """

    def each(weights, *rest):
        members, others = rest[:leading], rest[leading:]
        count = len(jax.tree.leaves(members)[0])
        found = [compute(weights, *at(members, i), *others) for i in range(count)]
        return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *found)

    return each


def whole(sample):
    """Builds `draw(posterior, member)`: the whole network of a member.

    `sample(key, posterior, scale)` is that of `swag` or `point`; the mean has scale 0.
    """

    def draw(posterior, member):
        return sample(member.key, posterior, member.scale)

    return draw


def features_of(draw):
    """Builds the same of the feature extractor alone, of `draw(posterior, member)`."""
    return lambda posterior, member: draw(posterior, member)["features"]


@struct.dataclass
class Parts:
    """Members whose low-rank parts are known, in NumPy arrays."""

    members: Members
    low_ranks: Any  # [M + 1, ...], the tree of the weights; no arrays of rank 0


def parts(posterior, members, low_ranks):
    """The `Parts` of a posterior, from one pass over its deviations.

    `low_ranks(keys, posterior)` is `swag.low_ranks_on_host`.
    """
    return Parts(members, low_ranks(jax.random.clone(members.key), posterior))


def whole_of_parts(assemble):
    """Builds `draw(posterior, part)`, which does not read the posterior's deviations.

    `assemble(key, posterior, scale, low_rank)` is `swag.assemble`.
    """

    def draw(posterior, part):
        key, scale = part.members.key, part.members.scale
        return assemble(key, posterior, scale, part.low_ranks)

    return draw


def make_heads(draw_whole, net):
    """Builds `heads(weights, members)`: linear classifiers, leading axis M + 1.

    Each is the stage-one head of the very draw whose features the others give.
    """

    def heads(weights, members):
        def one(member):
            return net.head.linear(draw_whole(weights, member)["head"])

        return jax.lax.map(one, trees.clone(members))

    return heads


def arguments(inputs):
    """What a network takes, as the arguments of its call."""
    return inputs if isinstance(inputs, tuple) else (inputs,)


def make_refresh(draw, net, prepare, batch_size, chunk):
    """Builds `refresh(weights, members, images) -> batch_stats`, leading axis M + 1.

    `draw(weights, member)` gives the extractor's parameters, `prepare(images)` turns
    uint8, or a tree of columns, into what the network takes: an array, or a tuple of
    arrays.
    """

    def refresh(weights, members, images):
        return batch_norm.refresh(
            lambda member: {"params": draw(weights, member)},
            members,
            _trained(net, prepare),
            images,
            batch_size,
            chunk,
        )

    return refresh


def make_fold(draw, net, prepare, chunk):
    """Builds `fold(weights, members, carry, images) -> carry`: `refresh` in batches.

    The first carry is None; the last one's second part are the statistics.
    """

    def fold(weights, members, carry, images):
        empty, update = batch_norm.accumulator(
            lambda member: {"params": draw(weights, member)},
            members,
            _trained(net, prepare),
            jax.tree.map(lambda leaf: leaf[:2], images),
            chunk,
        )
        return update(empty if carry is None else carry, images)

    return fold


def _trained(net, prepare):
    """The extractor on prepared images, its batch norm in training mode."""

    def apply(variables, images, train, mutable):
        return net.features.apply(
            variables, *arguments(prepare(images)), train=train, mutable=mutable
        )

    return apply


def make_features(draw, net, prepare, batch_size, chunk):
    """Builds `features(weights, members, batch_stats, images) -> [M + 1, N, D]`.

    They are what a linear classifier takes for the network's head, [M + 1, N, E, D] of
    E experts. `batch_size` is the most images at once; a CPU takes fewer.
    """

    def apply(variables, images):
        found = net.features.apply(variables, *arguments(prepare(images)))
        return net.head.inputs(found)

    def features(weights, members, batch_stats, images):
        def variables(pair):
            member, stats = pair
            return {"params": draw(weights, member), "batch_stats": stats}

        return predictive.features(
            (members, batch_stats), variables, apply, images, chunk, batch_size
        )

    return features
