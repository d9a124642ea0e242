"""Stochastic weight averaging: the running mean of snapshots of the weights.

Izmailov et al., UAI 2018 (arXiv:1803.05407). Every function is pure.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct


@struct.dataclass
class State:
    """Mean of the snapshots so far. Float32, or wider where the weights are."""

    count: jax.Array  # snapshots so far, int32
    mean: Any  # the tree of the weights


def init(params):
    """An empty average; of `params` only structure, shapes and dtypes are used."""
    return State(count=jnp.int32(0), mean=jax.tree.map(_zeros, params))


def update(state, params):
    """Folds one snapshot of the weights into the mean: m + (w - m) / count.

    >>> import numpy as np
    >>> from ltjax.posterior import swa
    >>> state = swa.init({"w": np.zeros(2)})
    >>> for weights in ([1.0, 4.0], [3.0, 0.0]):
    ...     state = swa.update(state, {"w": np.array(weights)})
    >>> state.mean["w"]
    Array([2., 2.], dtype=float32)
    """
    count = state.count + 1
    mean = jax.tree.map(lambda m, p: m + (p - m) / count, state.mean, params)
    return State(count, mean)


def _zeros(leaf):
    # In bfloat16 the step (w - m) / count is soon smaller than the spacing of m.
    return jnp.zeros_like(leaf, jnp.result_type(leaf, jnp.float32))
