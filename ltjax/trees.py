"""Arithmetic on pytrees."""

import jax
import numpy as np


def normal_like(key, tree):
    """Standard normal noise with the structure, shapes and dtypes of `tree`.

    One long vector cut into leaves: a generator per leaf would cost a deep network
    seconds of compile time.
    """
    leaves, treedef = jax.tree.flatten(tree)
    ends = np.cumsum([leaf.size for leaf in leaves])
    flat = jax.random.normal(key, (int(ends[-1]) if leaves else 0,))
    noise = [
        flat[end - leaf.size : end].reshape(leaf.shape).astype(leaf.dtype)
        for end, leaf in zip(ends.tolist(), leaves)
    ]
    return jax.tree.unflatten(treedef, noise)
