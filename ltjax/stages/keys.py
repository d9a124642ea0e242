"""The randomness of a run: one stream of keys per purpose, all from its seed."""

from typing import NamedTuple

import jax


class Keys(NamedTuple):
    """One key per purpose; what happens again folds its own number in."""

    init: jax.Array
    order: jax.Array
    prepare: jax.Array
    step: jax.Array
    members: jax.Array
    views: jax.Array
    head: jax.Array
    head_order: jax.Array
    statistics: jax.Array  # the images that batch-norm statistics are taken from


def keys(seed):
    """The streams of a seed."""
    return Keys(*jax.random.split(jax.random.key(seed), len(Keys._fields)))
