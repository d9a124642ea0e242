"""Contrast with others of the batch and of a queue, and with centres of the classes."""

import jax
import jax.numpy as jnp

_TINY = 1e-9  # added to a prior in its logarithm, as released


def paco(
    logits,
    queries,
    others,
    labels,
    other_labels,
    counts,
    *,
    alpha,
    beta=1.0,
    gamma=1.0,
    temperature,
):
    """Parametric contrast (Cui et al., ICCV 2021, arXiv:2107.12028), an example each.

    logits [B, C] of learnt class centres; queries [B, D] and others [M, D] of unit
    length, with labels [B] and [M]: the keys of the batch and a queue. counts [C] give
    the prior pi. With s_c = logits_c + log(pi_c + 1e-9) and s_j = q . z_j /
    `temperature` for every other query and all others z_j,

        -(beta log p_y + alpha sum_(j of label y) log p_j) / (beta + alpha n_y)

    where p is exp(s) over sum_c exp(s_c) + gamma sum_j exp(s_j), and n_y counts the z_j
    of the label. Returns [B]; `gamma` is above 0.

    >>> import numpy as np
    >>> from ltjax.losses import paco
    >>> logits, unit = np.array([[2.0, 0.0]]), np.array([[1.0, 0.0]])
    >>> pair = np.array([[1.0, 0.0], [0.0, 1.0]])
    >>> paco(logits, unit, pair, np.array([0]), np.array([0, 1]), np.array([9, 1]),
    ...      alpha=0.1, temperature=0.5)
    Array([0.813], dtype=float32)
    """
    logits, queries, others = (
        jnp.asarray(x, jnp.float32) for x in (logits, queries, others)
    )
    labels, other_labels = jnp.asarray(labels), jnp.asarray(other_labels)
    counts = jnp.asarray(counts, jnp.float32)
    count = len(queries)

    prior = jnp.log(counts / counts.sum() + _TINY)
    centres = logits + jnp.broadcast_to(prior, logits.shape)
    pairs = queries @ jnp.concatenate([queries, others]).T / temperature
    itself = jnp.eye(count, pairs.shape[1], dtype=bool)
    pairs = jnp.where(itself, -jnp.inf, pairs)
    # In the logarithm a factor is a summand, and nothing overflows.
    every = jnp.concatenate([centres, pairs + jnp.log(gamma)], 1)
    total = jax.nn.logsumexp(every, 1)

    known = jnp.concatenate([labels, other_labels])
    alike = (labels[:, None] == known[None]) & ~itself
    own = jnp.take_along_axis(centres, labels[:, None], 1)[:, 0] - total
    close = jnp.where(alike, pairs - total[:, None], 0).sum(1)
    return -(beta * own + alpha * close) / (beta + alpha * alike.sum(1))
