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
from ltjax.models.convolution import PYTORCH


class Linear(nn.Module):
    """Logits = features @ kernel + bias."""

    classes: int

    @nn.compact
    def __call__(self, features):
        """Features [..., D] to logits [..., C]."""
        dim = features.shape[-1]
        kernel = self.param("kernel", PYTORCH, (dim, self.classes))
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

    If `squashed`, it is times l / (1 + l) for features of length l (APA's authors,
    arXiv:2407.08567), whose gradient at zero is that of the features themselves;
    columns begin uniform within 1 / sqrt(D). If `learnt`, the scale is the square of a
    parameter "scale", which begins at its root. `at_means` tells whoever has images
    that columns are to begin at the means of their classes (`begun`).
    """

    classes: int
    scale: float = 16.0
    squashed: bool = False
    learnt: bool = False
    at_means: bool = False

    @nn.compact
    def __call__(self, features):
        """Features [..., D] to logits [..., C] within [-scale, scale]."""
        dim = features.shape[-1]
        init = PYTORCH if self.squashed else _columns
        params = {"kernel": self.param("kernel", init, (dim, self.classes))}
        if self.learnt:
            root = nn.initializers.constant(math.sqrt(self.scale))
            params["scale"] = self.param("scale", root, (1,))
        cosines = self._counted(features) @ unit(params["kernel"], 0)
        return self._scale(params, cosines.ndim) * cosines

    @nn.nowrap
    def begun(self, params, means):
        """The parameters with columns of length one along the classes' means.

        `means` are those of `inputs`, [C, D], or [C, E, D] of E experts; a class whose
        mean is zero or not finite keeps its column. Columns are as long as they were.
        """
        kernel = params["kernel"]
        found = jnp.moveaxis(jnp.asarray(means, kernel.dtype), 0, -1)
        length = jnp.sqrt(jnp.square(kernel).sum(-2, keepdims=True))
        along = length * unit(found, -2)
        finite = jnp.isfinite(along).all(-2, keepdims=True)
        known = finite & (along != 0).any(-2, keepdims=True)
        return {**params, "kernel": jnp.where(known, along, kernel)}

    @nn.nowrap
    def linear(self, params):
        """Kernel and bias of the linear classifier of `inputs`: the same logits.

        Those of several experts have a leading axis E, as the parameters have.
        """
        kernel = params["kernel"]
        length = self._scale(params, kernel.ndim) / math.sqrt(kernel.shape[-2])
        bias = jnp.zeros((*kernel.shape[:-2], self.classes))
        return {"kernel": length * unit(kernel, -2), "bias": bias}

    @nn.nowrap
    def inputs(self, features):
        """Features [..., D] scaled to length sqrt(D), where their mean square is 1.

        If `squashed`, to sqrt(D) l / (1 + l).
        """
        return math.sqrt(features.shape[-1]) * self._counted(features)

    @nn.nowrap
    def _counted(self, features):
        return _squashed(features) if self.squashed else unit(features, -1)

    @nn.nowrap
    def _scale(self, params, ndim):
        """The scale, or that of each expert [E, 1, ...] of so many axes."""
        if not self.learnt:
            return self.scale
        square = jnp.square(params["scale"])
        leading = square.shape[:-1]
        return square.reshape(*leading, *(1,) * (ndim - len(leading)))


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
    return unit(jax.random.uniform(key, shape, minval=-1.0, maxval=1.0), 0)


def _squashed(x):
    """x over 1 + its length [..., D]; finite, and so is its gradient, at zero."""
    square = jnp.square(x).sum(-1, keepdims=True)
    zero = square == 0
    length = jnp.where(zero, 0.0, jnp.sqrt(jnp.where(zero, 1.0, square)))
    return x / (1 + length)


def unit(x, axis):
    """x divided by its length along `axis`; zero where x is zero."""
    square = jnp.square(x).sum(axis, keepdims=True)
    # A length of zero is replaced before the root, whose slope there is infinite.
    zero = square == 0
    return jnp.where(zero, 0.0, x * root.inverse(jnp.where(zero, 1.0, square)))
