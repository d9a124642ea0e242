"""What stage one minimises, as a value: a loss, and what it needs beside the batch."""

from collections.abc import Callable
from typing import NamedTuple

import jax


class Task(NamedTuple):
    """What an objective may know of a run."""

    counts: jax.Array  # [C], training images of each class
    steps: int  # of an epoch
    epochs: int


def _nothing(key, variables):
    return ()


def _unchanged(memory, params, note):
    return memory


def _as_it_is(key, net, fixed, state, batch):
    return batch


class Objective(NamedTuple):
    """A loss of a batch, as `representation.step.make_gradient` takes it.

    `loss(logits, batch, step)` returns a scalar and the logits [B, C] that are judged.
    `init(key, variables)` makes the memory that is carried from step to step,
    `remember(memory, params, note)` changes it after one, and
    `prepare(key, net, fixed, state, batch)` adds to a batch. `views` are those of an
    image that the loss sees, "full", "weak" or "strong"; several lie one after the
    other, [V B, ...], and the first is that of stage two.
    """

    loss: Callable
    init: Callable = _nothing
    remember: Callable = _unchanged
    prepare: Callable = _as_it_is
    views: tuple = ("full",)
