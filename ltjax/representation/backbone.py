"""A backbone: how its weights move, what is collected of them, what is tested."""

from collections.abc import Callable
from typing import NamedTuple

import optax

from ltjax.posterior import point, swag
from ltjax.representation import epoch


class Deviations(NamedTuple):
    """What is large of a posterior, and may lie elsewhere while it is collected.

    Such a posterior has `count`, the snapshots so far, and `deviations`, a tree of
    arrays [rank, ...], of which snapshot n fills slot n % rank. It collects with fewer
    slots as well.
    """

    rank: int
    snapshots: int  # of an epoch
    # (keys, posterior) -> what M draws take of them, NumPy arrays [M, ...].
    low_ranks: Callable
    assemble: Callable  # (key, posterior, scale, low rank) -> params, without them


class Backbone(NamedTuple):
    """A training of stage one and the distribution over weights that it gives.

    The distribution is a Flax struct with `mean`, the weights that stand for it.
    """

    name: str  # of its rows in results.json
    rate: Callable  # of the step
    tx: optax.GradientTransformation
    init: Callable  # (params) -> what is collected
    collect: Callable  # (collected, state) -> collected
    weights: Callable  # (state, collected) -> the posterior of what is tested
    restore: Callable  # the same of both as a checkpoint has them, in dicts
    sample: Callable  # (key, posterior, scale) -> params; those of the mean at scale 0
    draws: int = 0  # M; 0 without a distribution
    drawn: str = ""  # of the rows that average its draws
    deviations: Deviations | None = None


def last(name, rate, tx):
    """The last weights of a training: all mass at one point.

    Where the objective's memory is a dict with "chosen", weights like these, it is at
    those.

    `rate` and `tx` are those of the training.
    """
    return Backbone(
        name=name,
        rate=rate,
        tx=tx,
        init=lambda params: (),
        collect=lambda collected, state: collected,
        weights=lambda state, collected: _stands(state.memory, state.params),
        restore=lambda state, collected: _stands(state["memory"], state["params"]),
        sample=point.sample,
    )


def averaged(name, rate, tx, start, interval, *, draws, drawn, rank, snapshots, dtype):
    """The mean of snapshots of a training, and the Gaussian of SWAG around it.

    The first snapshot is taken `interval` steps after step `start`, one more every
    `interval` steps, `snapshots` in an epoch. `rank` deviations are kept, of the type
    `dtype`. `drawn` names the rows of its draws.
    """
    return Backbone(
        name=name,
        rate=rate,
        tx=tx,
        init=lambda params: swag.init(params, rank, dtype),
        collect=epoch.every(swag.update, start, interval),
        weights=lambda state, collected: collected,
        restore=lambda state, collected: swag.State(**collected),
        sample=swag.sample,
        draws=draws,
        drawn=drawn,
        deviations=Deviations(rank, snapshots, swag.low_ranks_on_host, swag.assemble),
    )


def _stands(memory, params):
    chosen = memory.get("chosen") if isinstance(memory, dict) else None
    return point.State(params if chosen is None else chosen)
