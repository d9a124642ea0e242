"""Learning rates of stage one, as functions of the step."""

import jax.numpy as jnp
import optax

from ltjax.representation import decay


def to_zero(lr, steps, warmup_steps):
    """Linear warm-up to `lr`, then half a cosine to zero at `steps`.

    The plain SGD run. Returns `rate(step)`, usable as an optax schedule.
    """
    fall = optax.cosine_decay_schedule(lr, steps - warmup_steps)
    return _warm(lr, warmup_steps, fall)


def to_constant(lr, constant_lr, start_step, warmup_steps):
    """Linear warm-up to `lr`, half a cosine to `constant_lr` at `start_step`.

    From there on it is constant. The SWA run (Izmailov et al. 2018, arXiv 1803.05407):
    the constant rate lets the weights wander around one optimum while their mean is
    taken.
    """
    fall = optax.cosine_decay_schedule(
        lr, start_step - warmup_steps, alpha=constant_lr / lr
    )
    return _warm(lr, warmup_steps, fall)


def to_zero_from(start, lr, steps, warmup_steps):
    """A line through `start` at step 1 to `lr`, then half a cosine to zero at `steps`.

    SHIKE's two stages (Jin et al. 2023, arXiv:2304.01279), by epoch. The line arrives
    at step `warmup_steps`, at least 2.
    """
    fall = optax.cosine_decay_schedule(lr, steps - warmup_steps)

    def rate(step):
        ramp = start + (lr - start) * (step - 1) / (warmup_steps - 1)
        return jnp.where(step < warmup_steps, ramp, fall(step - warmup_steps))

    return rate


def in_steps(lr, milestones, factor, warmup_steps):
    """Linear warm-up to `lr`, times `factor` from each milestone on.

    RIDE and MDCS on CIFAR, by epoch. Milestones are not before the warm-up's end.
    """
    drops = {milestone - warmup_steps: factor for milestone in milestones}
    return _warm(lr, warmup_steps, optax.piecewise_constant_schedule(lr, drops))


def throughout(bounds, steps, warmup_steps):
    """A line from `first` to `lr`, then half a cosine over all steps to `last`.

    `bounds` are (first, lr, last). The cosine begins with the line: DeiT's
    (arXiv:2012.12877), step by step.
    """
    first, lr, last = bounds

    def rate(step):
        line = first + (lr - first) * step / max(warmup_steps, 1)
        fall = last + (lr - last) * (1 + jnp.cos(jnp.pi * step / steps)) / 2
        return jnp.where(step < warmup_steps, line, fall)

    return rate


def by_epoch(rate, steps):
    """The rate at an epoch, counted from 0, held for all its `steps`."""
    return lambda step: rate(step // steps)


def _warm(lr, warmup_steps, after):
    def rate(step):
        # The first step already moves: at step s the ramp is (s + 1) / warmup_steps.
        ramp = lr * (step + 1) / max(warmup_steps, 1)
        return jnp.where(step < warmup_steps, ramp, after(step - warmup_steps))

    return rate


def sgd(rate, momentum, weight_decay, nesterov=True):
    """SGD with momentum, Nesterov's or plain, and coupled decay of all weights.

    Coupled: the decay is added to the gradient before the momentum, as in PyTorch.
    What is no weight is in `decay`.
    """
    return optax.chain(
        decay.coupled(weight_decay),
        optax.sgd(rate, momentum=momentum, nesterov=nesterov),
    )


def adamw(rate, betas, epsilon, weight_decay):
    """AdamW, with decoupled decay of matrices only, see `decay`."""
    b1, b2 = betas
    return optax.adamw(
        rate, b1, b2, epsilon, weight_decay=weight_decay, mask=decay.matrices
    )
