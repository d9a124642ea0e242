"""AdamW and its schedule, as records."""

import dataclasses
from typing import Annotated

from ltjax.config.limits import BELOW_ONE, COUNT, NOT_NEGATIVE, POSITIVE, THOUSAND
from ltjax.config.optim import CosineDecay, Optim, Schedule
from ltjax.mistake import Mistake


@dataclasses.dataclass(frozen=True, kw_only=True)
class CosineThroughout(Schedule):
    """A line in the warm-up, then what half a cosine over all epochs is by then."""

    first_lr: Annotated[float, NOT_NEGATIVE] = 1e-6
    """The rate of the first step, where the line begins."""
    last_lr: Annotated[float, NOT_NEGATIVE] = 1e-5
    """Where the cosine ends."""

    def make(self, optim, steps):
        """The rate at a step, of so many steps an epoch."""
        from ltjax.representation import schedule

        bounds = self.first_lr, optim.lr, self.last_lr
        return schedule.throughout(
            bounds, optim.epochs * steps, optim.warmup_epochs * steps
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdamW(Optim):
    """Stage one: AdamW (arXiv:1711.05101), whose decay is of matrices only."""

    lr: Annotated[float, POSITIVE] = 5e-4
    """Peak learning rate."""
    b1: Annotated[float, BELOW_ONE] = 0.9
    """How long it remembers gradients."""
    b2: Annotated[float, BELOW_ONE] = 0.999
    """How long it remembers their squares."""
    epsilon: Annotated[float, POSITIVE] = 1e-8
    """Added to the root of the squares."""
    weight_decay: Annotated[float, NOT_NEGATIVE] = 0.05
    """Times the rate, of kernels; biases, norms, tokens and positions have none."""
    accumulate: Annotated[int, COUNT, THOUSAND] = 1
    """Batches whose mean gradient is one update; steps are still those of batches."""
    schedule: Schedule = CosineDecay()

    def check(self, config):
        """Refuses a constant rate of the SWA backbone that is one of SGD."""
        if config.swa.lr > self.lr:
            raise Mistake(
                f"swa.lr is {config.swa.lr}; with AdamW it must be at most optim.lr, "
                f"which is {self.lr}"
            )

    def make(self, steps, rate=None):
        """The rate and the transformation of gradients; see `config.Sgd.make`."""
        from ltjax.representation import accumulation, schedule

        rate = rate or self.schedule.make(self, steps)
        every = self.accumulate
        tx = schedule.adamw(
            accumulation.of_updates(rate, every),
            (self.b1, self.b2),
            self.epsilon,
            self.weight_decay,
        )
        return rate, accumulation.over(tx, every)


# A word of the command line, and the kind that it begins with.
KINDS = {"adamw": AdamW}
SCHEDULES = {"cosine_throughout": CosineThroughout}
