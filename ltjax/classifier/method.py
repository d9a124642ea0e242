"""What a method is: a module that makes `Head`s, the rows of the table, of a `Given`.

Beside its pure functions, `init`, `logits` and `loss` where it has them, it has

    TITLE     its name as it is read
    AFFINE    whether its logits are W z + b
    JOINT     whether experts can learn it together: a linear classifier with a loss
    DRAWS     whether it learns from draws; it makes nothing without them
    power     (plain, tau) -> the class prior that its probabilities assume, as a power
              of the shares of the training images (`prior`); None: no one prior.
              `plain` is that of stage one's classifier, `tau` that of the config
    heads     (given) -> {variant: Head}; "" is the headline's

so that one is put in another's place by its name in `METHODS`, and nothing else.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax


class Given(NamedTuple):
    """What is known of a backbone when its classifiers begin."""

    head: dict  # the linear classifier of stage one, "kernel" [D, C] and "bias" [C]
    new: dict  # a new one
    means: dict | None  # what `ncm.init` learned of plain features, if it is asked for
    counts: jax.Array  # [C], training images
    draws: bool  # whether features are those of a mean and of draws
    settings: Any  # the `classifier` part of a config


class Head(NamedTuple):
    """How one row of the table is made."""

    params: dict  # before training; final where nothing is trained
    logits: Callable  # logits(params, features [B, D]) -> [B, C]
    loss: Callable | None = None  # loss(params, features [M + 1, B, D], labels [B])
    sampling: str = "instance"
    draws: bool = False  # whether the loss looks beyond the mean, features[0]
    variants: tuple = ("",)  # names of its row; "" is the headline of a classifier
    averaged: bool = False  # whether its mean over the draws is a row, SWAG's
    whole: bool = False  # in that row each draw has its own head, that of stage one
    experts: tuple = ()  # the heads of the experts it is made of, if of any
    choice: Any = None  # a `Choice` of how it learns, where it has no loss of its own


class Candidate(NamedTuple):
    """One way for a head to learn."""

    settings: dict  # what tells it from the others, by name
    head: Head  # of the same logits and parameters as the others


AUTO = "auto"  # a setting that is chosen on images that nothing is trained on
_USUAL = 1.0  # strength of adjustment and of normalisation


def tau_of(value):
    """The tau of a row that has none of its own: the one set, or the usual one."""
    return _USUAL if value == AUTO else value


def of_tau(value, every, make):
    """The head `make(tau)` of the tau that is set, or of "auto" the best of `every`.

    The accuracy of that is to be at least that of the usual one.
    """
    if value != AUTO:
        return make(value)
    bar = make(_USUAL)
    candidates = tuple(Candidate({"tau": each}, make(each)) for each in every)
    choice = Choice(candidates, bar, f"tau {_USUAL:g}")
    return bar._replace(loss=None, choice=choice)


class Choice(NamedTuple):
    """Ways for a head to learn; images that nothing is trained on tell the best.

    That of the lowest NLL among those whose accuracy is not below that of `bar`, see
    `choice.best`.
    """

    candidates: tuple
    bar: Head
    bar_title: str  # as it is read
