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
    # Accelerators multiply float32 in fewer bits unless told not to.
    products = jnp.matmul(features, params["kernel"], precision="highest")
    return products + params["bias"].reshape(shape)
