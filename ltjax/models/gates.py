"""Gates of a block: what its last map is multiplied by, of channels and of places.

`Se` is the squeeze-and-excitation of Hu et al. (CVPR 2018), `Cbam` the convolutional
block attention of Woo et al. (ECCV 2018), both with a layer norm and a dropout of APA's
authors (arXiv:2407.08567) and with any activation in the place of the sigmoid.

A gate is told whether the network trains. Dropout needs a stream "dropout" besides:
without one nothing is left out, as where batch norm is only to learn its statistics.
"""

from collections.abc import Callable
from functools import partial

import jax.numpy as jnp
from flax import linen as nn

from ltjax.models import activations
from ltjax.models.batch_norm import BatchNorm
from ltjax.models.convolution import HE_FAN_IN
from ltjax.models.patches import convolve_inside

_EPSILON = 1e-5  # of layer norm, as PyTorch has it
_SIZE, _MOMENTUM = 7, 0.99  # of CBAM's convolution of places, and of its batch norm


class Se(nn.Module):
    """x times gate(W2 relu(W1 norm(mean over pixels))), for each channel.

    W1 has a `reduction`-th of the channels. `activation(name=...)` builds the gate's.
    Without `norm` there is none; `dropout` leaves out so much of what the gate takes.
    """

    reduction: int
    activation: Callable = activations.sigmoid
    norm: bool = False
    dropout: float = 0.0
    kernel_init: nn.initializers.Initializer = HE_FAN_IN

    @nn.compact
    def __call__(self, x, train=False):
        """Activations [B, H, W, C] to the same shape and type."""
        seen = x.mean((1, 2), dtype=jnp.float32)
        if self.norm:
            seen = nn.LayerNorm(epsilon=_EPSILON, name="norm")(seen)
        linear = partial(nn.Dense, use_bias=False, kernel_init=self.kernel_init)
        inner = narrow(x.shape[-1], self.reduction)
        seen = nn.relu(linear(inner, name="squeeze")(seen))
        seen = linear(x.shape[-1], name="excite")(seen)
        seen = _dropped(self, seen, train)
        gate = self.activation(name="activation")(seen)
        return x * gate[:, None, None].astype(x.dtype)


class Channels(nn.Module):
    """x times gate(m(mean over pixels) + m(largest of them)), for each channel.

    m is a layer norm and two linear layers with biases, the same for both.
    """

    reduction: int
    activation: Callable
    dropout: float
    kernel_init: nn.initializers.Initializer

    @nn.compact
    def __call__(self, x, train=False):
        """Activations [B, H, W, C] to the same shape and type."""
        norm = nn.LayerNorm(epsilon=_EPSILON, name="norm")
        linear = partial(nn.Dense, kernel_init=self.kernel_init)
        squeeze = linear(narrow(x.shape[-1], self.reduction), name="squeeze")
        excite = linear(x.shape[-1], name="excite")

        def seen(pooled):
            return _dropped(self, excite(nn.relu(squeeze(norm(pooled)))), train)

        mean = x.mean((1, 2), dtype=jnp.float32)
        largest = x.max((1, 2)).astype(jnp.float32)
        gate = self.activation(name="activation")(seen(mean) + seen(largest))
        return x * gate[:, None, None].astype(x.dtype)


class Places(nn.Module):
    """x times gate(norm(conv([largest, mean] over channels))), for each pixel."""

    activation: Callable
    kernel_init: nn.initializers.Initializer
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x, train=False):
        """Activations [B, H, W, C] to the same shape and type."""
        wide = x.astype(jnp.float32)
        seen = jnp.stack([wide.max(-1), wide.mean(-1)], -1)
        seen = Convolution(self.kernel_init, name="conv")(seen)
        seen = BatchNorm(self.axis_name, _MOMENTUM, name="norm")(seen, train)
        gate = self.activation(name="activation")(seen)
        return x * jnp.broadcast_to(gate.astype(x.dtype), x.shape)


class Convolution(nn.Module):
    """The 7 x 7 convolution of two maps to one."""

    kernel_init: nn.initializers.Initializer

    @nn.compact
    def __call__(self, x):
        """Two maps [B, H, W, 2] to one, [B, H, W, 1]."""
        kernel = self.param("kernel", self.kernel_init, (_SIZE, _SIZE, 2, 1))
        return convolve_inside(x, kernel)


class Cbam(nn.Module):
    """`Channels`, then `Places`, each with a gate of its own.

    `activation(name=...)` builds that of channels, `places` that of places.
    """

    reduction: int
    activation: Callable = activations.sigmoid
    places: Callable = activations.sigmoid
    dropout: float = 0.1
    kernel_init: nn.initializers.Initializer = HE_FAN_IN
    conv_init: nn.initializers.Initializer = HE_FAN_IN
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x, train=False):
        """Activations [B, H, W, C] to the same shape and type."""
        first = self.reduction, self.activation, self.dropout, self.kernel_init
        second = self.places, self.conv_init, self.axis_name
        x = Channels(*first, name="channels")(x, train)
        return Places(*second, name="places")(x, train)


def narrow(channels, reduction):
    """How many channels a gate's first layer has.

    Raises `ValueError` for a reduction that leaves none.
    """
    if not 1 <= reduction <= channels:
        raise ValueError(
            f"reduction is {reduction}; of {channels} channels it must be in "
            f"1..{channels}"
        )
    return channels // reduction


def _dropped(module, x, train):
    """Within the call of a gate: its dropout, where there is a stream for it."""
    still = not (train and module.has_rng("dropout"))
    return nn.Dropout(module.dropout, deterministic=still)(x)
