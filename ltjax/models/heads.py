"""Heads: features [..., D] to logits [..., C].

Each is a linear classifier of something: `linear(params)` gives that classifier's
kernel and bias, `inputs(features)` what it takes, so that whatever re-trains a linear
classifier can go on from any head.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
from flax import linen as nn

from ltjax.models import root


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

    @nn.nowrap
    def linear(self, params):
        """The parameters as they are."""
        return params

    @nn.nowrap
    def inputs(self, features):
        """The features as they are."""
        return features


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

    @nn.nowrap
    def linear(self, params):
        """Kernel and bias of the linear classifier of `inputs`: the same logits.

        Those of several experts have a leading axis E, as the parameters have.
        """
        kernel = params["kernel"]
        length = self.scale / math.sqrt(kernel.shape[-2])
        bias = jnp.zeros((*kernel.shape[:-2], self.classes))
        return {"kernel": length * _unit(kernel, -2), "bias": bias}

    @nn.nowrap
    def inputs(self, features):
        """Features [..., D] scaled to length sqrt(D), where their mean square is 1."""
        return math.sqrt(features.shape[-1]) * _unit(features, -1)


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


def for_experts(head):
    """The module `head`, with parameters of its own for each expert."""
    names = (field.name for field in dataclasses.fields(head) if field.init)
    settings = {name: getattr(head, name) for name in names}
    return per_expert(type(head))(**{**settings, "parent": None})


def _columns(key, shape):
    return _unit(jax.random.uniform(key, shape, minval=-1.0, maxval=1.0), 0)


def _unit(x, axis):
    """x divided by its length along `axis`; zero where x is zero."""
    square = jnp.square(x).sum(axis, keepdims=True)
    # A length of zero is replaced before the root, whose slope there is infinite.
    zero = square == 0
    return jnp.where(zero, 0.0, x * root.inverse(jnp.where(zero, 1.0, square)))
