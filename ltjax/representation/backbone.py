"""A backbone: how its weights move, what is collected of them, what is tested."""

from collections.abc import Callable
from typing import NamedTuple

import optax

from ltjax.posterior import point, swag
from ltjax.representation import epoch


class Backbone(NamedTuple):
    """A training of stage one and the distribution over weights that it gives."""

    name: str  # of results.json: "sgd" or "swa"
    rate: Callable  # of the step
    tx: optax.GradientTransformation
    # (params, rank) -> what is collected: of a posterior with deviations so many.
    init: Callable
    collect: Callable  # (collected, state) -> collected
    weights: Callable  # (state, collected) -> the posterior of what is tested
    sample: Callable  # (key, posterior, scale) -> params; those of the mean at scale 0
    draws: int = 0  # M; 0 without a distribution
    rank: int = 0  # deviations that are kept; 0 without any
    snapshots: int = 0  # of an epoch


def last(name, rate, tx):
    """The last weights of a training: all mass at one point.

    `rate` and `tx` are those of the training.
    """
    return Backbone(
        name=name,
        rate=rate,
        tx=tx,
        init=lambda params, rank: (),
        collect=lambda collected, state: collected,
        weights=lambda state, collected: point.State(state.params),
        sample=point.sample,
    )


def averaged(name, rate, tx, start, interval, *, draws, rank, snapshots, dtype):
    """The mean of snapshots of a training, and the Gaussian of SWAG around it.

    The first snapshot is taken `interval` steps after step `start`, one more every
    `interval` steps, `snapshots` in an epoch. `rank` deviations are kept, of the type
    `dtype`.
    """
    return Backbone(
        name=name,
        rate=rate,
        tx=tx,
        init=lambda params, rank: swag.init(params, rank, dtype),
        collect=epoch.every(swag.update, start, interval),
        weights=lambda state, collected: collected,
        sample=swag.sample,
        draws=draws,
        rank=rank,
        snapshots=snapshots,
    )
