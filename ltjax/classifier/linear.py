"""The linear classifier G(z; phi) = z W + b that most methods re-train."""

import jax
import jax.numpy as jnp


def init(key, dim, classes):
    """A new head: columns of W with unit expected norm, zero bias."""
    kernel = jax.random.normal(key, (dim, classes)) / jnp.sqrt(dim)
    return {"kernel": kernel, "bias": jnp.zeros(classes)}


def logits(params, features):
    """Logits [..., C] of features [..., D]."""
    shape = (1,) * (features.ndim - 1) + (-1,)
    return features @ params["kernel"] + params["bias"].reshape(shape)
