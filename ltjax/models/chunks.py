"""Elementwise gradients with sums, a few images at a time on a CPU.

XLA's CPU compiler writes one array in a loop, and what several of them share is worked
out for each, or goes through memory that is new, which costs more than an exponential.
Of a few images it stays in the cache.
"""

import math
from functools import partial

import jax
import jax.numpy as jnp

_SIZE = 1 << 16  # numbers at a time, more or less


def mapped(function, arrays, given):
    """`function(*arrays, *given)`: an array of the arrays' shape, and sums for `given`.

    Arrays [B, ...] have one shape; `given` have as many axes, of that length or 1.
    `function` is elementwise and returns an array and, for each of `given`, another
    that is summed to its shape.
    """
    shared = all(of.shape[:1] == (1,) for of in given)
    if arrays[0].size <= 2 * _SIZE or not shared:
        return _at_once(function, arrays, given)
    return jax.lax.platform_dependent(
        arrays,
        given,
        cpu=partial(_in_chunks, function),
        default=partial(_at_once, function),
    )


def _at_once(function, arrays, given):
    first, *others = function(*arrays, *given)
    return first, *(_summed(x, of.shape) for x, of in zip(others, given))


def _summed(x, shape):
    axes = [axis for axis, length in enumerate(shape) if length < x.shape[axis]]
    return x.sum(axes, keepdims=True)


def _in_chunks(function, arrays, given):
    """The same in parts, one for each device: each looks at its own images."""
    shape = arrays[0].shape
    parts = math.gcd(shape[0], jax.device_count())
    arrays = [x.reshape(parts, shape[0] // parts, *shape[1:]) for x in arrays]
    given = [x[None] for x in given]
    images = arrays[0].shape[1]
    chunk = max(1, min(images, parts * _SIZE * images // arrays[0].size))

    def add(start, count, carry):
        first, *sums = carry
        own = [jax.lax.dynamic_slice_in_dim(x, start, count, 1) for x in arrays]
        found, *others = _at_once(function, own, given)
        first = jax.lax.dynamic_update_slice_in_dim(first, found, start, 1)
        return first, *(total + x for total, x in zip(sums, others))

    own = [jax.ShapeDtypeStruct((parts, 1, *shape[1:]), x.dtype) for x in arrays]
    first, *sums = jax.eval_shape(partial(_at_once, function), own, given)
    carry = jnp.zeros(arrays[0].shape, first.dtype), *map(jnp.zeros_like, sums)
    whole = images // chunk
    carry = jax.lax.fori_loop(0, whole, lambda i, c: add(i * chunk, chunk, c), carry)
    if images % chunk:
        carry = add(whole * chunk, images % chunk, carry)
    return carry[0].reshape(shape), *(x[0] for x in carry[1:])
