"""What is done to whole pytrees."""

import jax
import numpy as np

_BLOCK = 2**24  # bytes that are compared at a time


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


def clone(tree):
    """The same tree, its keys counted as unused: one key's draw is made many times."""

    def again(leaf):
        key = jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        return jax.random.clone(leaf) if key else leaf

    return jax.tree.map(again, tree)


def same_bits(one, other):
    """Whether two arrays of one shape and type have the same bits.

    Some rows are compared at a time, so that no copy is made of a large one.
    """
    if one.ndim == 0:
        return np.asarray(one).tobytes() == np.asarray(other).tobytes()
    rows = max(1, _BLOCK * len(one) // max(one.nbytes, 1))
    for first in range(0, len(one), rows):
        few = slice(first, first + rows)
        if np.asarray(one[few]).tobytes() != np.asarray(other[few]).tobytes():
            return False
    return True
