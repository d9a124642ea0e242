"""Sharpness-aware minimisation: the gradient where the loss is higher close by."""

import jax
import jax.numpy as jnp
import optax

_TINY = 1e-12  # added to the length of the gradient, as released


def sam(tx, rho):
    """`tx` of the gradient at w + rho(step) g / |g|, on the same batch.

    Foret et al. 2021 (arXiv:2010.01412); |g| is that of all weights together. The
    caller gives `grad_fn(params, number)` beside the gradient, as
    `representation.step` does.
    """
    ascent = optax.chain(_normalised(), optax.sgd(rho))
    # Its count goes on, so that rho may depend on the step.
    return optax.contrib.sam(tx, ascent, reset_state=False, opaque_mode=True)


def by_epoch(values, epochs, steps):
    """Builds `rho(step)`: the first value, and each next one from its epoch on.

    `epochs` are one fewer, counted from 0; an epoch has so many steps.
    """

    def rho(step):
        passed = (step // steps >= jnp.asarray(epochs, jnp.int32)).sum()
        return jnp.asarray(values, jnp.float32)[passed]

    return rho


def _normalised():
    def update(gradients, params):
        length = optax.tree.norm(gradients) + _TINY
        return jax.tree.map(lambda g: g / length, gradients)

    return optax.stateless(update)
