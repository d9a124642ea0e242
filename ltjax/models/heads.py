"""Heads: features [..., D] to logits [..., C]."""

import jax
import jax.numpy as jnp
from flax import linen as nn


class Linear(nn.Module):
    """Logits = features @ kernel + bias."""

    classes: int

    @nn.compact
    def __call__(self, features):
        """Features [..., D] to logits [..., C]."""
        dim = features.shape[-1]
        bound = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
        kernel = self.param("kernel", bound, (dim, self.classes))
        bias = self.param("bias", nn.initializers.zeros, (self.classes,))
        logits = features @ kernel
        return logits + jnp.broadcast_to(bias, logits.shape)


class Cosine(nn.Module):
    """Logits = scale * cosine of the angle between features and a class's column.

    A zero vector has cosine 0 with everything, and gradient 0. Columns begin with
    length one, uniform in a cube before they are scaled to it.
    """

    classes: int
    scale: float = 16.0

    @nn.compact
    def __call__(self, features):
        """Features [..., D] to logits [..., C] within [-scale, scale]."""
        dim = features.shape[-1]
        kernel = self.param("kernel", _columns, (dim, self.classes))
        return self.scale * (_unit(features, -1) @ _unit(kernel, 0))


def per_expert(head):
    """The class `head`, with parameters of its own for each expert.

    Its features are [..., E, D], its logits [..., E, C], its parameters those of `head`
    with a leading axis E.
    """
    return nn.vmap(
        head,
        in_axes=-2,
        out_axes=-2,
        variable_axes={"params": 0},
        split_rngs={"params": True},
    )


def _columns(key, shape):
    return _unit(jax.random.uniform(key, shape, minval=-1.0, maxval=1.0), 0)


def _unit(x, axis):
    """x divided by its length along `axis`; zero where x is zero."""
    square = jnp.square(x).sum(axis, keepdims=True)
    # A length of zero is replaced before the root, whose slope there is infinite.
    zero = square == 0
    return jnp.where(zero, 0.0, x * jax.lax.rsqrt(jnp.where(zero, 1.0, square)))
