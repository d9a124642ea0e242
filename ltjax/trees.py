"""Arithmetic on pytrees."""

import jax
import jax.numpy as jnp


def zeros_like(tree):
    """Zeros with the structure, shapes and dtypes of `tree`."""
    return jax.tree.map(jnp.zeros_like, tree)


def normal_like(key, tree):
    """Standard normal noise with the structure, shapes and dtypes of `tree`."""
    leaves, treedef = jax.tree.flatten(tree)
    keys = jax.random.split(key, len(leaves))
    noise = [jax.random.normal(k, x.shape, x.dtype) for k, x in zip(keys, leaves)]
    return jax.tree.unflatten(treedef, noise)


def all_finite(tree):
    """Whether every number in the tree is finite. Returns a boolean scalar."""
    finite = [jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(tree)]
    return jnp.stack(finite).all() if finite else jnp.bool_(True)
