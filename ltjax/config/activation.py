"""What bends in a network, as records: activations of layers and of gates."""

import dataclasses
import functools
from typing import Annotated, Literal

from ltjax.config.kind import Kind
from ltjax.config.limits import NOT_NEGATIVE, RANGE, Limit

Range = tuple[float, float]
SHARES = Limit(
    lambda value: RANGE.right(value) and value[0] >= 0,
    "two finite numbers from 0 on, the lower one first, or one twice",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Activation(Kind):
    """An activation of layers or of gates."""

    wanted = (
        "make(kappa=None), which gives build(name=...), a function of an array or a "
        "Linen module"
    )

    def make(self, kappa=None):
        """`build(name=...)`; `kappa` is the usual range of a first kappa there."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Relu(Activation):
    """max(z, 0)."""

    def make(self, kappa=None):
        """The function."""
        from ltjax.models import activations

        return activations.relu


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sigmoid(Activation):
    """The logistic function."""

    def make(self, kappa=None):
        """The function."""
        from ltjax.models import activations

        return activations.sigmoid


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gelu(Activation):
    """z times the normal distribution up to z, exactly."""

    def make(self, kappa=None):
        """The function."""
        from ltjax.models import activations

        return activations.gelu


@dataclasses.dataclass(frozen=True, kw_only=True)
class QuickGelu(Activation):
    """z sigmoid(1.702 z), with which OpenAI trained CLIP."""

    def make(self, kappa=None):
        """The function."""
        from ltjax.models import activations

        return activations.quick_gelu


@dataclasses.dataclass(frozen=True, kw_only=True)
class Usual(Gelu):
    """Not stated: Gelu, unless the weights to begin with may be of another."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Apa(Activation):
    """(lam exp(-kappa z) + 1)^(-1 / lam) of learnt kappa and lam, arXiv:2407.08567."""

    kappa: Annotated[Range | None, RANGE] = None
    """The first kappa is between these; None: as released at that place, -1 and 0 in a
    gate of SE, 0 and 1 elsewhere."""
    lam: Annotated[Range, SHARES] = (0.0, 1.0)
    """The first lam is between these."""
    per_channel: bool = False
    """A pair for each channel, or one for all."""
    floor: Annotated[float, NOT_NEGATIVE] = 1e-4
    """A lower lam acts as this."""
    clamp: bool = False
    """No gradient of a lam below its floor, as released; it may stay there."""

    def make(self, kappa=None):
        """The module of `models.activations`."""
        from ltjax.models import activations

        return _shaped(activations.Apa, self, self.kappa or kappa or (0.0, 1.0))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Aglu(Activation):
    """z times what Apa gives: an adaptive gated linear unit (arXiv:2407.08567)."""

    kappa: Annotated[Range, RANGE] = (0.8, 1.2)
    """The first kappa is between these."""
    lam: Annotated[Range, SHARES] = (0.0, 1.0)
    """The first lam is between these."""
    per_channel: bool = False
    """A pair for each channel, or one for all."""
    floor: Annotated[float, NOT_NEGATIVE] = 1e-8
    """A lower lam acts as this."""
    clamp: bool = False
    """No gradient of a lam below its floor, as released; it may stay there."""
    gradient: Literal["true", "released"] = "true"
    """That of lam: the true one, or that of the release, whose sign is wrong."""

    def make(self, kappa=None):
        """The module of `models.activations`."""
        from ltjax.models import activations

        return _shaped(activations.Aglu, self, self.kappa, gradient=self.gradient)


# A word of the command line, and the kind that it begins with.
KINDS = {
    "relu": Relu,
    "sigmoid": Sigmoid,
    "gelu": Gelu,
    "quick_gelu": QuickGelu,
    "usual": Usual,
    "apa": Apa,
    "aglu": Aglu,
}


def _shaped(module, record, kappa, **more):
    same = ("lam", "per_channel", "floor", "clamp")
    fields = {name: getattr(record, name) for name in same}
    return functools.partial(module, kappa=kappa, **fields, **more)
