"""Batch normalisation (Ioffe and Szegedy, 2015) with Flax's variables."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from ltjax.models import root

_AXES = (0, 1, 2)


def moments(x, axis_name=None):
    """Mean and biased variance per channel of x [B, H, W, C], float32 [C] each.

    In one pass over x, around the mean c of its middle rows: Var = E[(x - c)^2] -
    (E[x] - c)^2. As these rows are 1 / H of x, (E[x] - c)^2 <= H Var, and what cancels
    costs at most about H + 1 roundings. With an `axis_name` they are those of the
    whole batch over that mapped axis: means of equal shares, and
    Var = E[var] + Var[mean].
    """
    x = x.astype(jnp.float32)
    # Nothing depends on where the sums are taken from; so it has no gradient either.
    centre = jax.lax.stop_gradient(x[:, x.shape[1] // 2].mean((0, 1)))
    centred = x - centre[None, None, None]
    offset = centred.mean(_AXES)
    mean = centre + offset
    var = jnp.square(centred).mean(_AXES) - jnp.square(offset)
    if axis_name is not None:
        share = mean
        mean = jax.lax.pmean(share, axis_name)
        var = jax.lax.pmean(var + jnp.square(share - mean), axis_name)
    return mean, var


class BatchNorm(nn.Module):
    """scale (x - mean) / sqrt(var + epsilon) + bias, per channel.

    In training mean and var are the batch's, and the running ones become
    momentum * running + (1 - momentum) * batch; else they are the running ones.
    """

    axis_name: str | None = None
    momentum: float = 0.9
    epsilon: float = 1e-5

    @nn.compact
    def __call__(self, x, train=False):
        """Activations [B, H, W, C] to the same shape and type; sums are float32."""
        channels = x.shape[-1:]
        scale = self.param("scale", nn.initializers.ones, channels)
        bias = self.param("bias", nn.initializers.zeros, channels)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, channels)
        running_var = self.variable("batch_stats", "var", jnp.ones, channels)

        mean, var = running_mean.value, running_var.value
        if train:
            axis_name = None if self.is_initializing() else self.axis_name
            mean, var = moments(x, axis_name)
            if not self.is_initializing():
                keep = self.momentum
                running_mean.value = keep * running_mean.value + (1 - keep) * mean
                running_var.value = keep * running_var.value + (1 - keep) * var
        factor = scale * root.inverse(var + self.epsilon)
        shifted = x.astype(jnp.float32) - mean[None, None, None]
        y = shifted * factor[None, None, None] + bias[None, None, None]
        return y.astype(x.dtype)
