"""Which parameters weight decay draws to zero: all that are weights, or matrices."""

import jax
import optax

# The last part of a name. Of an activation's shape zero is no smaller than another: at
# kappa = 0 it is a constant, at lam = 0 another function.
SHAPES = ("kappa", "lam")


def decays(path):
    """Whether weight decay is for the leaf at a path of `jax.tree_util`."""
    return not path or getattr(path[-1], "key", None) not in SHAPES


def coupled(weight_decay):
    """Adds `weight_decay` times the parameter to the gradient, where it `decays`."""

    def add(path, gradient, parameter):
        return gradient + weight_decay * parameter if decays(path) else gradient

    def update(gradients, params):
        return jax.tree.map_with_path(add, gradients, params)

    return optax.stateless(update)


def matrices(params):
    """True for every kernel of a tree of parameters, False for what else is there.

    Not by shape: those of several experts are stacked. `down` and `up` are those of
    adapters.
    """
    names = ("kernel", "down", "up")
    return jax.tree.map_with_path(
        lambda path, leaf: bool(path) and getattr(path[-1], "key", None) in names,
        params,
    )
