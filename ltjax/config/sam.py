"""Sharpness-aware SGD as a record."""

import dataclasses
from typing import Annotated

from ltjax.config.limits import Limit
from ltjax.config.optim import Sgd
from ltjax.mistake import Mistake

_LENGTHS = Limit(
    lambda values: values and all(0 < value < float("inf") for value in values),
    "some numbers above 0, and finite",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sam(Sgd):
    """Stage one: SGD of the gradient a little uphill (SAM, arXiv:2010.01412)."""

    # There batch norm takes the batch as it looks to those weights; the running
    # statistics are of the weights as they are.
    rho: Annotated[tuple[float, ...], _LENGTHS] = (0.05,)
    """How far uphill, as a length of all weights; one after another."""
    rho_epochs: tuple[int, ...] = ()
    """Epochs from which on the next rho is taken, counted from 0."""

    def check(self, config):
        """Refuses epochs that do not rise, or lie outside, or are too many or few."""
        epochs = self.rho_epochs
        rising = list(epochs) == sorted(set(epochs))
        if not rising or any(not 0 < each < self.epochs for each in epochs):
            raise Mistake(
                f"optim.rho_epochs is {epochs!r}; they must rise from 1 to below "
                f"optim.epochs ({self.epochs})"
            )
        if len(epochs) != len(self.rho) - 1:
            raise Mistake(
                f"optim.rho_epochs is {epochs!r}; it must have one number fewer than "
                f"optim.rho, which is {self.rho!r}"
            )

    def make(self, steps, rate=None):
        """The rate and the transformation of gradients; see `config.Sgd.make`."""
        from ltjax.representation import sharpness

        rate, tx = super().make(steps, rate)
        rho = sharpness.by_epoch(self.rho, self.rho_epochs, steps)
        return rate, sharpness.sam(tx, rho)


# A word of the command line, and the kind that it begins with.
KINDS = {"sam": Sam}
