"""A few new weights beside weights that stay as they are.

Both begin at nothing: the network is what it was until they have learnt. Their name is
`adapter`, by which they are told to train.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn


class Lora(nn.Module):
    """A product of two thin matrices beside a linear layer (Hu et al., ICLR 2022).

    x down up, times `alpha` / `rank`. `down` [D, rank] begins uniform within
    1 / sqrt(D), and `up` at zero.
    """

    features: int
    rank: int = 8
    alpha: float = 8.0
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x):
        """x [..., D] to [..., features]."""
        init = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
        down = self.param("down", init, (x.shape[-1], self.rank))
        up = self.param("up", nn.initializers.zeros, (self.rank, self.features))
        down, up = down.astype(self.dtype), up.astype(self.dtype)
        return (self.alpha / self.rank) * (x.astype(self.dtype) @ down @ up)


class AdaptFormer(nn.Module):
    """A narrow layer beside that of a block (Chen et al., NeurIPS 2022).

    `scale` (relu(x down + bias) up + bias); `up` and biases begin at zero, `down`
    uniform within 1 / sqrt(D).
    """

    width: int = 64
    scale: float = 0.1
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x):
        """x [..., D], as the block's own layer gets it, to the same shape."""
        init = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
        zeros = nn.initializers.zeros
        down = nn.Dense(self.width, dtype=self.dtype, kernel_init=init, name="down")
        up = nn.Dense(x.shape[-1], dtype=self.dtype, kernel_init=zeros, name="up")
        return self.scale * up(jax.nn.relu(down(x)))
