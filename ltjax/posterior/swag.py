"""SWA-Gaussian: a normal distribution over weights, from snapshots of training.

Maddox et al., NeurIPS 2019 (arXiv:1902.02476), Algorithm 1. Every function is pure.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from ltjax.posterior import swa, trees


@struct.dataclass
class State:
    """Moments of the snapshots so far. Float32, or wider where the weights are.

    The deviations may have a type of their own, and may be NumPy arrays, outside the
    device; a draw is computed in float32 either way.
    """

    count: jax.Array  # snapshots so far, int32
    mean: Any  # the tree of the weights
    scatter: Any  # sum of squared deviations from the mean, the same tree
    deviations: Any  # the last `rank` of (weights - mean then), a ring, leading axis


def init(params, rank, dtype=None):
    """An empty posterior; of `params` only structure, shapes and dtypes are used.

    `rank` is the number of deviations kept, at least 2: the low-rank part divides by
    the number of columns less one. 0 keeps none, for a diagonal posterior. `dtype` is
    that of the deviations, None that of the mean; bfloat16 halves them and rounds each
    by up to 2^-9 of itself.
    """
    if rank < 2 and rank != 0:
        raise ValueError(
            f"rank is {rank}; a SWAG posterior needs a rank of at least 2, or of 0, "
            "which is a diagonal one"
        )
    # Two trees of zeros, not one used twice: a buffer can be donated only once.
    empty, scatter = swa.init(params), swa.init(params).mean
    deviations = jax.tree.map(
        lambda m: jnp.zeros((rank, *m.shape), dtype or m.dtype), empty.mean
    )
    return State(empty.count, empty.mean, scatter, deviations)


def update(state, params):
    """Folds one snapshot of the weights into the moments (Welford).

    The deviation is taken from the mean that already holds this snapshot, as in the
    paper, and goes to slot (count before the update) % rank; the first is exactly 0.

    >>> import numpy as np
    >>> from ltjax.posterior import swag
    >>> state = swag.init({"w": np.zeros(2)}, rank=2)
    >>> for weights in ([1.0, 4.0], [3.0, 0.0]):
    ...     state = swag.update(state, {"w": np.array(weights)})
    >>> state.mean["w"], state.scatter["w"]
    (Array([2., 2.], dtype=float32), Array([2., 8.], dtype=float32))
    """
    # Welford sums replace the paper's E[w^2] - E[w]^2: in float32 that difference is
    # negative for many batch-norm scales (mean near 1, deviation near 1e-4).
    average = swa.update(swa.State(state.count, state.mean), params)
    scatter = jax.tree.map(
        lambda s, p, old, new: s + (p - old) * (p - new),
        state.scatter,
        params,
        state.mean,
        average.mean,
    )
    if not _rank(state):
        return State(average.count, average.mean, scatter, state.deviations)
    slot = state.count % _rank(state)
    deviations = jax.tree.map(
        lambda d, p, m: d.at[slot].set((p - m).astype(d.dtype)),
        state.deviations,
        params,
        average.mean,
    )
    return State(average.count, average.mean, scatter, deviations)


def sample(key, state, scale=1.0):
    """Draws weights from N(mean, scale/2 (diag(scatter/count) + D D^T/(stored-1))).

    Of rank 0 it is N(mean, scale diag(scatter/count)), the paper's SWAG-Diagonal.
    `stored` is min(count, rank), the number of columns of D really filled; one normal
    vector of length rank serves the whole tree, so that tensors vary together. `scale`
    multiplies the covariance (1 is the paper's posterior) and may be traced, for
    example mapped over. The draw has the dtypes of `state.mean`. With scale 0, or with
    fewer than 2 snapshots, it is the mean bit for bit.

    >>> import jax
    >>> import numpy as np
    >>> from ltjax.posterior import swag
    >>> state = swag.init({"w": np.zeros(2)}, rank=2)
    >>> for weights in ([1.0, 4.0], [3.0, 0.0]):
    ...     state = swag.update(state, {"w": np.array(weights)})
    >>> swag.sample(jax.random.key(0), state)["w"].shape
    (2,)
    >>> swag.sample(jax.random.key(0), state, scale=0.0)["w"]
    Array([2., 2.], dtype=float32)
    """
    if jnp.ndim(scale):
        raise ValueError(f"scale has shape {jnp.shape(scale)}; map over a vector")
    if isinstance(scale, int | float) and scale < 0:
        raise ValueError(f"scale is {scale}; a covariance needs at least 0")
    diagonal_key, rank_key = jax.random.split(key)
    z = jax.random.normal(rank_key, (_rank(state),))
    columns = _columns(state)
    # Adding 0 would turn -0 into 0, and the root has no finite slope at 0.
    moves = (jnp.asarray(scale) != 0) & (state.count > 1)
    width = jnp.sqrt(jnp.where(moves, scale, 1.0) / (2 if _rank(state) else 1))

    def draw(mean, scatter, deviations, noise):
        diagonal = jnp.sqrt(scatter / jnp.maximum(state.count, 1)) * noise
        low_rank = jnp.tensordot(z, deviations, axes=1, precision="highest")
        shift = diagonal + low_rank / jnp.sqrt(columns)
        return (mean + width * shift).astype(mean.dtype)

    noise = trees.normal_like(diagonal_key, state.mean)
    # A condition, not a `where`: XLA's CPU compiler would fuse the noise of a batch
    # norm's scale and bias into what uses them, and draw it again for every pixel.
    return jax.lax.cond(
        moves,
        lambda: jax.tree.map(draw, state.mean, state.scatter, state.deviations, noise),
        lambda: state.mean,
    )


def low_ranks(keys, state):
    """The low-rank parts z D^T / sqrt(stored - 1) of M draws, leading axis M.

    For each tensor one matrix product, Z [M, K] times D [K, P]: however many draws, the
    deviations are read once. Not compiled as a whole, it takes one tensor at a time to
    the device where they are NumPy arrays. () of rank 0, which has none.
    """
    if not _rank(state):
        return ()

    def normals(key):
        return jax.random.normal(jax.random.split(key)[1], (_rank(state),))

    z = jax.vmap(normals)(keys) / jnp.sqrt(_columns(state))
    return jax.tree.map(
        lambda d: jnp.tensordot(z, d, axes=1, precision="highest"), state.deviations
    )


def low_ranks_on_host(keys, state):
    """The same in NumPy arrays: the device holds one tensor's deviations at a time."""

    def low_rank(deviations):
        only = state.replace(deviations=deviations)
        return jax.tree.map(np.asarray, low_ranks(jax.random.clone(keys), only))

    return jax.tree.map(low_rank, state.deviations)


def assemble(key, state, scale, low_rank):
    """The draw of `sample` from its low-rank part; `state.deviations` is not read.

    With scale 0, or with fewer than 2 snapshots, it is the mean bit for bit.
    """
    moves = (jnp.asarray(scale) != 0) & (state.count > 1)
    diagonal_only = not jax.tree.leaves(low_rank)
    width = jnp.sqrt(jnp.where(moves, scale, 0.0) / (1 if diagonal_only else 2))
    if diagonal_only:
        low_rank = jax.tree.map(jnp.zeros_like, state.mean)
    noise = trees.normal_like(jax.random.split(key)[0], state.mean)

    def draw(mean, scatter, low_rank, noise):
        diagonal = jnp.sqrt(scatter / jnp.maximum(state.count, 1)) * noise
        # Adding 0 would turn -0 into 0.
        drawn = (mean + width * (diagonal + low_rank)).astype(mean.dtype)
        return jnp.where(moves, drawn, mean)

    return jax.tree.map(draw, state.mean, state.scatter, low_rank, noise)


def draws(keys, state, scales):
    """`sample(key, state, scale)` for M keys and scales, as a tree with leading axis M.

    The deviations are read once, by `low_ranks`. Differs from `sample` by the rounding
    of sums of K numbers.

    >>> import jax
    >>> import numpy as np
    >>> from ltjax.posterior import swag
    >>> state = swag.init({"w": np.zeros(3)}, rank=2)
    >>> keys, scales = jax.random.split(jax.random.key(0), 5), np.ones(5)
    >>> swag.draws(keys, state, scales)["w"].shape
    (5, 3)
    """
    low_rank = low_ranks(jax.random.clone(keys), state)
    return jax.vmap(assemble, (0, None, 0, 0))(keys, state, scales, low_rank)


def _columns(state):
    return jnp.maximum(jnp.minimum(state.count, _rank(state)) - 1, 1)


def _rank(state):
    return jax.tree.leaves(state.deviations)[0].shape[0]
