"""What a block's residual goes through, as records."""

import dataclasses
import functools
from typing import Annotated

from ltjax.config.activation import Activation, Sigmoid
from ltjax.config.kind import Kind
from ltjax.config.limits import BELOW_ONE, COUNT, INT32

_DROPOUT = 0.1  # of the release, where there is one
_OF_SE = (-1.0, 0.0)  # the first kappa of an APA there


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gate(Kind):
    """What the residual of each block goes through."""

    wanted = (
        "make(linear, convolution), which gives build(name=...), a Linen module of "
        "maps, or None for no gate"
    )
    reduction = None  # how many times fewer channels it has inside

    def make(self, linear, convolution):
        """`build(name=...)`, whose layers begin as these initializers have them."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Open(Gate):
    """No gate."""

    def make(self, linear, convolution):
        """None."""
        return None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Se(Gate):
    """Squeeze and excitation: a factor for each channel (arXiv:1709.01507)."""

    reduction: Annotated[int, COUNT, INT32] = 16
    """Inside are so many times fewer channels; 4 for CIFAR."""
    activation: Activation = Sigmoid()
    norm: bool | None = None
    """A layer norm of what it sees; None: unless the activation is a sigmoid."""
    dropout: Annotated[float | None, BELOW_ONE] = None
    """Share of the channels that it forgets in training; None: 0.1 with a norm, else
    0."""

    def make(self, linear, convolution):
        """The module of `models.gates`."""
        from ltjax.models import gates

        released = self.activation != Sigmoid()
        norm = released if self.norm is None else self.norm
        usual = _DROPOUT if norm else 0.0
        return functools.partial(
            gates.Se,
            self.reduction,
            self.activation.make(_OF_SE),
            norm,
            usual if self.dropout is None else self.dropout,
            kernel_init=linear,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cbam(Gate):
    """Block attention: a factor for each channel, then for each place (1807.06521).

    With the layer norm and the dropout of APA's authors.
    """

    reduction: Annotated[int, COUNT, INT32] = 16
    """Inside are so many times fewer channels; 4 for CIFAR."""
    activation: Activation = Sigmoid()
    """That of both gates."""
    sigmoid_places: bool = False
    """A sigmoid for places whatever the activation of channels is."""
    dropout: Annotated[float, BELOW_ONE] = _DROPOUT
    """Share of the channels that it forgets in training."""

    def make(self, linear, convolution):
        """The module of `models.gates`."""
        from ltjax.models import gates

        places = Sigmoid() if self.sigmoid_places else self.activation
        return functools.partial(
            gates.Cbam,
            self.reduction,
            self.activation.make(),
            places.make(),
            self.dropout,
            kernel_init=linear,
            conv_init=convolution,
        )


# A word of the command line, and the kind that it begins with.
KINDS = {"open": Open, "se": Se, "cbam": Cbam}
