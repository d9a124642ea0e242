"""Batch-norm statistics of given weights, re-estimated over a set of images.

Averaged or drawn weights have no statistics of their own (arXiv:1803.05407, section
3.2); a running average over batches would be a noisy guess of what is exact here.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp

from ltjax.posterior import _functions, _loops, trees

# Old statistics for the probe of the momentum: a power of two, so that multiplying and
# dividing by it is exact, and so large that what the batch adds is rounded away.
_LARGE = 2.0**100


def refresh(draw, keys, apply, images, batch_size=1000, chunk=1):
    """Pooled statistics of M sets of weights, in one pass over the images.

    `keys` is a pytree with leading axis M; `draw(key)` gives a member's variables, with
    at least "params" ("batch_stats" may be there, its values are ignored); they are
    drawn anew for every batch, so that only `chunk` members exist at a time. `apply(
    variables, x, train=True, mutable=["batch_stats"])` returns (output, {"batch_stats":
    updated}) as a Linen module does, with any momentum below 1; or it is a pair of
    functions, of which the second, `statistics(variables, x)`, returns `updated`.

    Batch b of n = ceil(N / batch_size) holds the images b, b + n, b + 2n, ... of [N,
    ...]. Each runs with its own batch statistics, pooled over their sizes n_b by
    mean = sum n_b mean_b / N, var = sum n_b (var_b + (mean_b - mean)^2) / N (biased).
    Only the first layer is then independent of the batches: deeper inputs depend on how
    the layers below normalised. A batch of one class would take out what tells it from
    the others; in strides, images sorted by class give each batch its share of all.

    Images are an array or a tree of arrays with a common leading axis. They are taken
    as given: for a network trained on augmented ones they should be augmented likewise,
    since it knows the plain ones by heart and answers them otherwise than those of a
    test. Returns batch_stats with leading axis M, float32; {} for a model without batch
    norm.

    >>> import jax
    >>> import numpy as np
    >>> from flax import linen as nn
    >>> from ltjax.posterior import batch_norm
    >>> net, images = nn.BatchNorm(), np.array([[1.0], [2.0], [3.0]])
    >>> def apply(variables, x, train, mutable):
    ...     return net.apply(variables, x, not train, mutable=mutable)
    >>> params = {"scale": np.ones(1), "bias": np.zeros(1)}
    >>> keys = jax.random.split(jax.random.key(0), 1)
    >>> batch_norm.refresh(lambda key: {"params": params}, keys, apply, images)
    {'mean': Array([[2.]], dtype=float32), 'var': Array([[0.667]], dtype=float32)}
    """
    images = jax.tree.map(jnp.asarray, images)
    _loops.members(keys)
    _loops.spans(_loops.count(images), batch_size)  # refuses an empty set, untraced
    few = jax.tree.map(lambda leaf: leaf[:2], images)
    empty, fold = accumulator(draw, keys, apply, few, chunk)
    if not jax.tree.leaves(empty[1]):
        return {}
    _, pooled = _loops.across_batches(fold, empty, images, batch_size)
    return pooled


def accumulator(draw, keys, apply, few, chunk=1):
    """What `refresh` is made of, for images that come batch by batch.

    Returns (empty, fold): `fold(carry, batch) -> carry` from `empty` on, the pair
    (number of images, pooled statistics). `few` are one or two images, of any content.
    """
    count, statistics = _loops.members(keys), _functions.statistics(apply)

    def run(key, x, stats=None):
        variables = draw(key)
        if stats is not None:
            variables = {**variables, "batch_stats": stats}
        return statistics(variables, x)

    keys = trees.clone(keys)
    first_key = jax.tree.map(lambda leaf: leaf[0], keys)
    layout = jax.eval_shape(run, first_key, few)
    _check(layout)
    zeros = _full(layout, 0.0)
    fresh = jax.tree.map(_fresh, run(first_key, few, _full(layout, _LARGE)))

    def moments(key, x):
        # From zeros, the running average is (1 - momentum) times the batch's own.
        return jax.tree.map(
            lambda new, part: new.astype(jnp.float32) / part, run(key, x, zeros), fresh
        )

    def fold(carry, x):
        seen, pooled = carry
        batch = _loops.over_members(lambda key: moments(key, x), keys, chunk)
        seen = seen + _loops.count(x)
        share = _loops.count(x) / seen
        pooled = jax.tree.map(
            lambda old, new: _pool(old, new, share), pooled, batch, is_leaf=_is_layer
        )
        return seen, pooled

    empty = jax.tree.map(
        lambda leaf: jnp.zeros((count, *leaf.shape), jnp.float32), layout
    )
    return (jnp.float32(0), empty), fold


def _pool(old, new, share):
    """Moments of the union, of which the new batch is `share` (Chan et al., 1983)."""
    delta = new["mean"] - old["mean"]
    spread = (1 - share) * delta**2
    return {
        "mean": old["mean"] + share * delta,
        "var": old["var"] + share * (new["var"] - old["var"] + spread),
    }


def _fresh(updated):
    """1 - momentum, from an update that began at `_LARGE`."""
    momentum = updated.astype(jnp.float32) / _LARGE
    # float32(0.99) is 1e-6 of the difference to 1 away from 0.99. Where four decimals
    # give the same float32 they are what was meant.
    decimal = jnp.round((1 - momentum) * 1e4) / 1e4
    return jnp.where(1 - decimal == momentum, decimal, 1 - momentum)


def _full(layout, value):
    return jax.tree.map(lambda leaf: jnp.full(leaf.shape, value, leaf.dtype), layout)


def _is_layer(stats):
    return (
        isinstance(stats, Mapping)
        and set(stats) == {"mean", "var"}
        and not any(isinstance(value, Mapping) for value in stats.values())
    )


def _check(layout):
    for path, node in jax.tree_util.tree_flatten_with_path(layout, is_leaf=_is_layer)[
        0
    ]:
        if not _is_layer(node):
            name = jax.tree_util.keystr(path, simple=True, separator="/")
            raise ValueError(
                f"batch_stats holds {name}; only layers of a mean and a var are known"
            )
