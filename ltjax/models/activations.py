"""Activations that learn their shape: APA and AGLU (arXiv:2407.08567).

    apa(z; kappa, lam) = (lam exp(-kappa z) + 1)^(-1 / lam)      aglu = z apa

At lam = 1 the first is the logistic function of kappa z, as lam goes to 0 it is
Gumbel's exp(-exp(-kappa z)); AGLU at lam = kappa = 1 is SiLU.

With u = exp(-kappa z), w = lam u, L = -log apa = log1p(w) / lam and q = u / (1 + w)

    d log apa / dz = kappa q    d / dkappa = z q    d / dlam = (L - q) / lam

The last cancels for small w. There, with v = w / (2 + w), log1p(w) = 2 atanh(v), and
the difference becomes a sum of positive terms, see `_slopes`.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from ltjax.models import chunks

GATE_FLOOR, LAYER_FLOOR = 1e-4, 1e-8  # of lam, as released
_CEILING = 40.0  # of -kappa z in exp: beyond, log1p(w) grows by what is cut off
_SMALL = 0.5  # w below which the series is taken
_GONE = 1e3  # -log apa from which on it is 0


def apa(z, kappa, lam):
    """(lam exp(-kappa z) + 1)^(-1 / lam), elementwise, in 0..1.

    Adaptive Parametric Activation (Alexandridis et al., ECCV 2024). z, `kappa` and
    `lam` broadcast; the result has the type of z. `lam` is 0 or more. It is finite for
    every finite z, and the gradients are true ones; both are worked out in float32 at
    least.
    Raises `ValueError` for a `kappa` or a `lam` that is known and cannot be.

    >>> from ltjax.models.activations import apa
    >>> apa([-1.0, 0.0, 1.0], kappa=1.0, lam=1.0)
    Array([0.269, 0.5  , 0.731], dtype=float32)
    >>> apa([-1.0, 0.0, 1.0], kappa=1.0, lam=0.0)
    Array([0.066, 0.368, 0.692], dtype=float32)
    """
    return _called(_APA, z, kappa, lam)


def aglu(z, kappa, lam, gradient="true"):
    """z apa(z, kappa, lam): an adaptive gated linear unit, elementwise.

    Broadcasts and raises as `apa`. With `gradient="released"` that of `lam` is what the
    authors' classification code has, -z apa q / lam: of the wrong sign and size, for
    those who repeat its trainings.

    >>> from ltjax.models.activations import aglu
    >>> aglu([-1.0, 0.0, 1.0], kappa=1.0, lam=1.0)
    Array([-0.269,  0.   ,  0.731], dtype=float32)
    """
    if gradient not in _AGLU:
        raise ValueError(f"gradient is {gradient!r}, not 'true' or 'released'")
    return _called(_AGLU[gradient], z, kappa, lam)


class Rule(NamedTuple):
    """An activation of z and eta = apa(z), and its derivatives."""

    value: Callable  # (z, eta) -> the activation
    # (z, kappa, lam) -> what a cotangent of the value is multiplied by, for each of
    # them.
    factors: Callable


def _called(rule, z, kappa, lam):
    _check("kappa", kappa, -math.inf)
    _check("lam", lam, 0.0)
    z, kappa, lam = map(jnp.asarray, (z, kappa, lam))
    if not jnp.issubdtype(z.dtype, jnp.floating):
        z = z.astype(jnp.float32)
    shape = jnp.broadcast_shapes(z.shape, kappa.shape, lam.shape)
    kappa, lam = (
        x.reshape((1,) * (len(shape) - x.ndim) + x.shape) for x in (kappa, lam)
    )
    return _activation(rule, jnp.broadcast_to(z, shape), kappa, lam)


def _check(name, value, least):
    """Raises `ValueError` for a known value that is not finite, or below `least`."""
    if isinstance(value, jax.core.Tracer):
        return
    value = np.asarray(value)  # known under `jit`, too, where JAX's would not be
    if not np.isfinite(value).all():
        raise ValueError(f"{name} is {value}; it must be finite")
    if not (value >= least).all():
        raise ValueError(f"{name} is {value}; it must be {least:g} or more")


def _wide(*arrays):
    """Arrays in float32, or in the type that they have beyond it."""
    kind = jnp.promote_types(jnp.result_type(*arrays), jnp.float32)
    return (array.astype(kind) for array in arrays)


def _exponential(z, kappa, lam):
    """u, w and what the ceiling cuts off the exponent; `lam` is 0 or more."""
    exponent = -kappa * z
    u = jnp.exp(jnp.minimum(exponent, _CEILING))
    return u, lam * u, jnp.maximum(exponent - _CEILING, 0)


def _eta(z, kappa, lam):
    u, w, beyond = _exponential(z, kappa, lam)
    # Where w is 0, or not a normal number, the quotient would be lost.
    tiny = w < 1e-6
    log = jnp.log1p(w) + beyond
    return jnp.exp(-jnp.where(tiny, u * (1 - w / 2), log / jnp.where(lam > 0, lam, 1)))


def _slopes(z, kappa, lam):
    """eta, eta q, and d eta / dlam.

    With v = w / (2 + w) and P = 1/3 + v^2 / 5 + v^4 / 7 + ..., below w = 1/2

        L = u (1 - v) (1 + v^2 P)
        (L - q) / lam = u^2 (1 - v)^2 / 2 (1 / (1 + v) + v P)

    whose terms are positive: nothing cancels. eta is multiplied first: where it is 0
    the others may be beyond all bounds.
    """
    u, w, beyond = _exponential(z, kappa, lam)
    v, small, known = w / (2 + w), w < _SMALL, jnp.where(lam > 0, lam, 1)
    tail = _tail(v * v)
    minus_log = u * (1 - v) * (1 + v * v * tail)
    minus_log = jnp.where(small, minus_log, (jnp.log(1 + w) + beyond) / known)
    minus_log = jnp.minimum(minus_log, _GONE)
    eta, q = jnp.exp(-minus_log), u / (1 + w)
    series = eta * u * u * (0.5 * (1 - v) ** 2 * (1 / (1 + v) + v * tail))
    return eta, eta * q, jnp.where(small, series, eta * ((minus_log - q) / known))


def _tail(square):
    """1/3 + square / 5 + square^2 / 7 + ..., of squares up to 1/25, to all digits."""
    terms = 6 if square.dtype == jnp.float32 else 12
    found = jnp.zeros_like(square)
    for odd in range(2 * terms + 1, 1, -2):
        found = found * square + 1 / odd
    return found


def _of_gate(z, kappa, lam):
    _, moved, grown = _slopes(z, kappa, lam)
    return kappa * moved, z * moved, grown


def _of_unit(z, kappa, lam):
    eta, moved, grown = _slopes(z, kappa, lam)
    return eta + kappa * (z * moved), z * (z * moved), z * grown


def _as_released(z, kappa, lam):
    eta, moved, _ = _slopes(z, kappa, lam)
    of_lam = -z * moved / jnp.maximum(lam, LAYER_FLOOR)
    return eta + kappa * (z * moved), z * (z * moved), of_lam


_APA = Rule(lambda z, eta: eta, _of_gate)
_AGLU = {
    "true": Rule(lambda z, eta: z * eta, _of_unit),
    "released": Rule(lambda z, eta: z * eta, _as_released),
}


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _activation(rule, z, kappa, lam):
    wide, kappa, lam = _wide(z, kappa, lam)
    return rule.value(wide, _eta(wide, kappa, jnp.maximum(lam, 0))).astype(z.dtype)


def _forward(rule, z, kappa, lam):
    # The input is all that is kept, and it is there already. To keep eta as well would
    # cost a pass over memory that is not there yet, which takes longer than to work it
    # out again.
    return _activation(rule, z, kappa, lam), (z, kappa, lam)


def _backward(rule, saved, dy):
    def of_part(z, dy, kappa, lam):
        wide, dy, kappa, lam = _wide(z, dy, kappa, lam)
        by_z, by_kappa, by_lam = rule.factors(wide, kappa, jnp.maximum(lam, 0))
        return (dy * by_z).astype(z.dtype), dy * by_kappa, dy * by_lam

    z, kappa, lam = saved
    dz, *sums = chunks.mapped(of_part, (z, dy), (kappa, lam))
    return dz, *(x.astype(of.dtype) for x, of in zip(sums, (kappa, lam)))


_activation.defvjp(_forward, _backward)


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def floored(lam, floor):
    """max(lam, floor), with the slope of `lam` itself on both sides.

    Below the floor the gradient is that at the floor, so that a step which wants more
    moves `lam` up again. Under `jnp.maximum`, as released, it is 0 there, and stays.
    """
    return jnp.maximum(lam, floor)


floored.defvjp(lambda lam, floor: (floored(lam, floor), None), lambda floor, _, d: (d,))


class _Shaped(nn.Module):
    """An activation with `kappa` and `lam` of its own, [1], or [C] of the last axis.

    They begin uniform in the ranges `kappa` and `lam`. `floor` is the least that `lam`
    acts as; with `clamp` it has no gradient below, see `floored`.
    """

    kappa: tuple[float, float]
    lam: tuple[float, float]
    floor: float
    per_channel: bool = False
    clamp: bool = False

    def _shape(self, x):
        shape = (x.shape[-1],) if self.per_channel else (1,)
        kappa = self.param("kappa", _between(self.kappa), shape)
        lam = self.param("lam", _between(self.lam), shape)
        floor = jnp.maximum if self.clamp else floored
        return kappa, floor(lam, self.floor)


class Apa(_Shaped):
    """`apa` with a shape that is learnt; as in a gate of CBAM, see `gates`."""

    kappa: tuple[float, float] = (0.0, 1.0)
    lam: tuple[float, float] = (0.0, 1.0)
    floor: float = GATE_FLOOR

    @nn.compact
    def __call__(self, x):
        """x [..., C] to 0..1, of the same shape and type."""
        return apa(x, *self._shape(x))


class Aglu(_Shaped):
    """`aglu` with a shape that is learnt, in the place of a ReLU."""

    kappa: tuple[float, float] = (0.8, 1.2)
    lam: tuple[float, float] = (0.0, 1.0)
    floor: float = LAYER_FLOOR
    gradient: str = "true"

    @nn.compact
    def __call__(self, x):
        """x [..., C] to the same shape and type."""
        return aglu(x, *self._shape(x), self.gradient)


def fixed(function):
    """Of a function, what builds it in a network: `make(name)`, as a module's class."""
    return lambda name: function


def quick(z):
    """z sigmoid(1.702 z), the GELU that OpenAI's CLIP was trained with."""
    return z * nn.sigmoid(1.702 * z)


relu, sigmoid = fixed(nn.relu), fixed(nn.sigmoid)
# The exact GELU; Flax's own default is an approximation.
gelu, quick_gelu = fixed(partial(nn.gelu, approximate=False)), fixed(quick)


def _between(bounds):
    def init(key, shape):
        return jax.random.uniform(key, shape, minval=bounds[0], maxval=bounds[1])

    return init


def learnt(params):
    """Every `kappa` and `lam` of a tree of parameters, {place: (kappa, lam)}.

    A place is the path of an activation, as "stage1_block2/act1"; each of the two is
    an array, [1] or [C].
    """
    found = {}
    for path, leaf in jax.tree.leaves_with_path(params):
        names = [str(entry.key) for entry in path]
        if names[-1] in ("kappa", "lam"):
            found.setdefault("/".join(names[:-1]), {})[names[-1]] = leaf
    pairs = {place: (of.get("kappa"), of.get("lam")) for place, of in found.items()}
    return {place: pair for place, pair in pairs.items() if None not in pair}
