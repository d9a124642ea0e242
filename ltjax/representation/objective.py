"""What a training minimises, as a record of pure functions."""

from collections.abc import Callable
from typing import NamedTuple

import jax


class Task(NamedTuple):
    """What an objective may know of a training."""

    counts: jax.Array  # training images of each class, [C]
    steps: int  # of an epoch
    epochs: int


def _no_memory(key, variables):
    return ()


def _unchanged(memory, params, note):
    return memory


def _apart(key, batch, step):
    return batch


def _as_it_is(key, net, fixed, state, batch):
    return batch


class Objective(NamedTuple):
    """A loss, and what it carries from step to step.

    `outputs` are what the network's training call returns: logits, [B, E, C] of E
    experts, or a tree with more. `batch` holds a label for every image, and the images
    of all `views`, one view after the other.
    """

    # (outputs, batch, memory, step) -> the loss of the batch, a scalar, the logits
    # [B, C] that are judged, and a note for `remember`. `step` counts those before it.
    loss: Callable
    # (key, variables) -> memory before the first step: a queue, a buffer of logits, a
    # moving encoder.
    init: Callable = _no_memory
    remember: Callable = _unchanged  # (memory, new params, note) -> memory
    # (key, net, fixed, state, batch) -> batch, without gradient: what is masked, or
    # made by the memory.
    prepare: Callable = _as_it_is
    # (key, batch, step) -> batch, of images as they are augmented, before anything has
    # seen them: what is mixed of several. It may tell in "lam" the share of an image
    # that is its own, by which metadata are mixed then.
    mix: Callable = _apart
    # What is seen of an image: "full", "weak", "strong" or "contrast" augmentation. The
    # first one is what stage two sees, too.
    views: tuple = ("full",)
    # Those of them that batch-norm statistics are taken of, as the weights that train
    # see no others; (): all.
    statistics: tuple = ()


def per_example(loss):
    """The objective of a `loss(logits, labels)` that gives one number per example.

    It takes logits [B, C].

    >>> import numpy as np
    >>> from ltjax.losses import cross_entropy
    >>> from ltjax.representation import objective
    >>> batch = {"label": np.array([0])}
    >>> made = objective.per_example(cross_entropy)
    >>> value, judged, note = made.loss(np.zeros((1, 2), np.float32), batch, (), 0)
    >>> value
    Array(0.693, dtype=float32)
    """

    def of_batch(logits, batch, memory, step):
        return loss(logits, batch["label"]).mean(), logits, ()

    return Objective(of_batch)


def simple(loss, views=("full",)):
    """The objective of `loss(outputs, batch, step) -> (scalar, judged)`."""
    return Objective(
        lambda outputs, batch, memory, step: (*loss(outputs, batch, step), ()),
        views=views,
    )
