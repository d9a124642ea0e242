"""How stage one descends, as records: optimizers, and schedules of their rate."""

import dataclasses
from typing import Annotated, Literal

from ltjax.config.kind import Kind
from ltjax.config.limits import (
    BELOW_ONE,
    COUNT,
    FROM_ZERO,
    INT32,
    MILLION,
    NOT_NEGATIVE,
    POSITIVE,
    SHARE,
)
from ltjax.mistake import Mistake


@dataclasses.dataclass(frozen=True, kw_only=True)
class Schedule(Kind):
    """Rate of the SGD backbone."""

    wanted = "make(optim, steps), which gives a function of the step"


@dataclasses.dataclass(frozen=True, kw_only=True)
class CosineDecay(Schedule):
    """After the warm-up half a cosine to zero, step by step."""

    def make(self, optim, steps):
        """The rate at a step, of so many steps an epoch."""
        from ltjax.representation import schedule

        return schedule.to_zero(
            optim.lr, optim.epochs * steps, optim.warmup_epochs * steps
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepDecay(Schedule):
    """After the warm-up the peak rate, lower by a factor at each milestone."""

    milestones: tuple[int, ...] = ()
    """Epochs from which on the rate is lower, at each by the factor."""
    factor: Annotated[float, SHARE] = 0.1
    """What the rate is multiplied by at each milestone."""

    def check(self, config):
        """Refuses milestones that do not rise, or lie outside."""
        optim, stones = config.optim, self.milestones
        if list(stones) != sorted(set(stones)) or any(
            not optim.warmup_epochs <= stone < optim.epochs for stone in stones
        ):
            raise Mistake(
                f"optim.schedule.milestones is {stones!r}; they must rise from "
                f"optim.warmup_epochs ({optim.warmup_epochs}) to below optim.epochs "
                f"({optim.epochs})"
            )

    def make(self, optim, steps):
        """The rate at a step, of so many steps an epoch."""
        from ltjax.representation import schedule

        rate = schedule.in_steps(
            optim.lr, self.milestones, self.factor, optim.warmup_epochs
        )
        return schedule.by_epoch(rate, steps)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CosineByEpoch(Schedule):
    """A line to the peak rate, then half a cosine to zero, epoch by epoch."""

    start_lr: Annotated[float, POSITIVE] = 0.05
    """The learning rate of the second epoch."""

    def check(self, config):
        """Refuses a warm-up that is no line."""
        warmup = config.optim.warmup_epochs
        if warmup < 2:
            raise Mistake(
                f"optim.warmup_epochs is {warmup}; the schedule CosineByEpoch needs at "
                "least 2, a line through optim.schedule.start_lr"
            )

    def make(self, optim, steps):
        """The rate at a step, of so many steps an epoch."""
        from ltjax.representation import schedule

        rate = schedule.to_zero_from(
            self.start_lr, optim.lr, optim.epochs, optim.warmup_epochs
        )
        return schedule.by_epoch(rate, steps)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Optim(Kind):
    """Stage one: what every optimizer has."""

    wanted = (
        "make(steps, rate=None), which gives the rate, a function of the step, and an "
        "optax.GradientTransformation"
    )

    lr: Annotated[float, POSITIVE] = 0.1
    """Peak learning rate."""
    epochs: Annotated[int, COUNT, MILLION] = 200
    """Epochs of each backbone, SGD and SWA alike."""
    warmup_epochs: Annotated[int, FROM_ZERO] = 5
    """Epochs of linear warm-up."""
    batch_size: Annotated[int, COUNT, INT32] = 128
    """Images per step."""
    drop_last: bool = True
    """Leave out the incomplete last batch; otherwise it is filled from the first."""
    sampling: Literal["instance", "repeated", "class", "square_root", "progressive"] = (
        "instance"
    )
    """Who is in a batch: images, a third of them thrice each, classes, or in
    between."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sgd(Optim):
    """Stage one: SGD with momentum and coupled weight decay."""

    momentum: Annotated[float, BELOW_ONE] = 0.9
    """Momentum."""
    nesterov: bool = True
    """Nesterov's momentum, or the plain one."""
    weight_decay: Annotated[float, NOT_NEGATIVE] = 5e-4
    """Coupled L2 on all weights; kappa and lam of activations are none."""
    schedule: Schedule = CosineDecay()

    def make(self, steps, rate=None):
        """The rate, a function of the step, and the transformation of gradients.

        `steps` are those of an epoch. `rate` takes the schedule's place: the SWA
        backbone has its own.
        """
        from ltjax.representation import schedule

        rate = rate or self.schedule.make(self, steps)
        tx = schedule.sgd(rate, self.momentum, self.weight_decay, self.nesterov)
        return rate, tx


# A word of the command line, and the kind that it begins with.
KINDS = {"sgd": Sgd}
SCHEDULES = {
    "cosine_decay": CosineDecay,
    "step_decay": StepDecay,
    "cosine_by_epoch": CosineByEpoch,
}
