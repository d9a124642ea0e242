"""The backbones of a run, and what a training of one begins with."""

import dataclasses

from ltjax import config as configs
from ltjax.mistake import Mistake
from ltjax.representation import backbone, schedule, step
from ltjax.representation.objective import Task

_ALL = configs.Config.backbones


def of(config, task):
    """The backbones that a run trains: SGD to its end, then SWA with its posterior."""
    optim, swa, posterior = config.optim, config.swa, config.posterior
    steps, warmup = task.steps, optim.warmup_epochs * task.steps
    interval, start = swa.every_steps or steps, configs.swa_start(config) * steps
    constant = schedule.to_constant(optim.lr, swa.lr, start, warmup)
    known = (
        backbone.last("sgd", *optim.make(steps)),
        backbone.averaged(
            "swa",
            *optim.make(steps, constant),
            start,
            interval,
            draws=posterior.samples,
            drawn="swag",
            rank=swa.rank,
            snapshots=-(-steps // interval),
            dtype=swa.dtype,
        ),
    )
    return tuple(each for each in known if each.name in config.backbones)


def joined(config, task, results):
    """The config of a sitting in a folder that has the `results` of another, or none.

    It has the backbones of both, as its results will have. None where the others have
    all that it trains.
    """
    have = {row["backbone"] for row in results["rows"]} if results else set()
    if results and (not have or {each.name for each in of(config, task)} <= have):
        return None
    both = (name for name in _ALL if name in {*config.backbones} | have)
    return dataclasses.replace(config, backbones=tuple(both))


def every(config, task):
    """The same of all sittings, whichever of them the config of one trains."""
    return of(dataclasses.replace(config, backbones=_ALL), task)


def of_row(config, name):
    """The backbone whose rows, or those of whose draws, are called `name`.

    To open it, not to train it: nobody asks how many steps there were.
    """
    known = every(config, Task(counts=(), steps=1, epochs=config.optim.epochs))
    for each in known:
        if name in (each.name, each.drawn):
            return each
    known = ", ".join(each.name for each in known)
    raise Mistake(f"{name!r} is no backbone here, nor of its draws; there are {known}")


def begun(backbone, objective, key, variables):
    """What a training carries before its first step: its state, and what is collected.

    `key` is for the objective's memory.
    """
    memory = objective.init(key, variables)
    state = step.init(variables, backbone.tx, memory)
    return state, backbone.init(state.params)
