"""Metadata of some images left out in training, so that a network works without."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp


class Masking(NamedTuple):
    """How often metadata are left out, and whether they are mixed as images are."""

    share: Callable  # (step) -> the share of a batch that is without, in stage one
    views: float  # the share of the images of a view, in stage two
    mixes: bool


def some(key, meta, share):
    """Metadata [B, K] of which as many random rows are zero as `share` B is, whole.

    >>> import jax
    >>> import numpy as np
    >>> from ltjax.data.augment import masking
    >>> found = masking.some(jax.random.key(0), np.ones((8, 3)), 0.3)
    >>> int(found.any(1).sum())
    6
    """
    meta = jnp.asarray(meta)
    # A product such as 0.7 * 10 may lie a little below what it stands for.
    count = jnp.floor(share * len(meta) + 1e-3)
    rank = jax.random.permutation(key, len(meta))
    return jnp.where((rank < count)[:, None], 0, meta).astype(meta.dtype)


def mixed(meta, lam):
    """lam m + (1 - lam) m of the partner, [B, K], as `mixing` mixes labels.

    >>> import numpy as np
    >>> from ltjax.data.augment import masking
    >>> masking.mixed(np.array([[1.0], [0.0]], np.float32), 0.75)
    Array([[0.75],
           [0.25]], dtype=float32)
    """
    meta = jnp.asarray(meta)
    return lam * meta + (1 - lam) * meta[::-1]


def falling(share, steps, epochs):
    """Builds `share(step)`: it falls linearly to 0 with each epoch of so many steps.

    `share` (1 - e / epochs) in epoch e = 0, 1, ..., as MetaFormer was released.
    """

    def of(step):
        return share * jnp.maximum(1 - (step // steps) / epochs, 0)

    return of


def make(kind, share, mixes, steps, epochs):
    """The `Masking` of a kind, "linear", "constant" or "none".

    Stage two, whose views have no epochs to fall over, has the mean of stage one.
    """
    if kind == "linear":
        return Masking(falling(share, steps, epochs), share / 2, mixes)
    always = share if kind == "constant" else 0.0
    return Masking(lambda step: always, always, mixes)
