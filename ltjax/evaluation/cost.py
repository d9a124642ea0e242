"""What a network costs: its multiply-accumulates, from shapes alone."""

import math

import jax.numpy as jnp
from jax.extend import core


def macs(program):
    """Multiply-accumulates of the convolutions and matrix products of a program.

    `program` is what `jax.make_jaxpr(f)(...)` returns, whose arguments may be shapes. A
    convolution counts as many as its kernel has inputs for each of its outputs, borders
    included; of alternatives the most expensive counts. Raises `ValueError` for those
    within a loop whose length is not known.
    """
    return sum(_MACS.get(eqn.primitive.name, _within)(eqn) for eqn in program.eqns)


def routed(used, macs):
    """Mean multiply-accumulates of samples of which each used so many experts.

    used [N] in 1..E; macs [E]: of the network with its first 1, 2, ... E experts.
    """
    return jnp.asarray(macs, jnp.float32)[jnp.asarray(used) - 1].mean()


def _convolution(eqn):
    kernel = eqn.invars[1].aval
    outputs = kernel.shape[eqn.params["dimension_numbers"].rhs_spec[0]]
    return eqn.outvars[0].aval.size * kernel.size // outputs


def _product(eqn):
    (contracted, _), _ = eqn.params["dimension_numbers"]
    shape = eqn.invars[0].aval.shape
    return eqn.outvars[0].aval.size * math.prod(shape[axis] for axis in contracted)


def _scan(eqn):
    return eqn.params["length"] * macs(eqn.params["jaxpr"])


def _cond(eqn):
    return max(macs(branch) for branch in eqn.params["branches"])


def _while(eqn):
    if _within(eqn):
        raise ValueError("a loop of unknown length multiplies; its cost is not known")
    return 0


def _within(eqn):
    """Of the programs that an equation holds, such as that of a jitted function."""
    kinds = (core.Jaxpr, core.ClosedJaxpr)
    return sum(macs(value) for value in eqn.params.values() if isinstance(value, kinds))


_MACS = {
    "conv_general_dilated": _convolution,
    "dot_general": _product,
    "scan": _scan,
    "cond": _cond,
    "while": _while,
}
