"""Weights per class that sum to the number of classes; an absent class weighs 0."""

import math

import jax
import jax.numpy as jnp


def class_balanced_weights(counts, beta):
    """Inverse effective numbers (1 - beta) / (1 - beta^counts), scaled. Returns [C].

    Cui et al. 2019 (arXiv:1901.05555). beta in 0..1: at 0 all present classes weigh
    the same, at 1 the weights are inverse frequencies. A Python number is taken in
    double precision, where an array in float32 knows 1 - 0.9999 to 3e-4 only.

    >>> from ltjax.losses import class_balanced_weights
    >>> class_balanced_weights([100, 10], beta=0.99)
    Array([0.262, 1.738], dtype=float32)
    """
    counts = jnp.asarray(counts, jnp.float32)
    present = counts > 0
    # The bounds are the two limits: exp(-1e3) is 0, and at -1e-30 expm1 is linear.
    log_beta = jnp.clip(_log(beta), -1e3, -1e-30)
    effective = jnp.expm1(jnp.maximum(counts, 1) * log_beta) / jnp.expm1(log_beta)
    weights = jnp.where(present, 1 / effective, 0)
    return len(counts) * weights / weights.sum()


def generalized_weights(counts, rho):
    """Powers (1 / frequency)^rho, scaled. Returns [C].

    The generalised re-weighting of Zhang et al. 2021 (DisAlign, arXiv:2103.16370).
    rho = 0 weighs all present classes the same, rho = 1 by inverse frequency.

    >>> from ltjax.losses import generalized_weights
    >>> generalized_weights([100, 10, 0], rho=1.0)
    Array([0.273, 2.727, 0.   ], dtype=float32)
    """
    counts = jnp.asarray(counts, jnp.float32)
    present = counts > 0
    log_weights = -rho * jnp.log(jnp.where(present, counts, 1))
    return len(counts) * jax.nn.softmax(log_weights, where=present)


def _log(beta):
    if isinstance(beta, jax.Array):
        return jnp.log(beta)
    if not 0 <= beta <= 1:
        raise ValueError(f"beta is {beta}, should be in 0..1")
    return math.log(beta) if beta > 0 else -math.inf
