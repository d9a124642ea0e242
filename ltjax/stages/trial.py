"""What a user brought, tried on shapes alone: its errors are told before a run."""

from functools import partial

import jax
import jax.numpy as jnp

from ltjax.config import Head, Model, Objective, Optim, Schedule, own
from ltjax.mistake import Mistake
from ltjax.posterior.members import arguments
from ltjax.representation import step
from ltjax.stages import backbones
from ltjax.stages import system as systems


def check(config, system, data, task):
    """Traces features and a training step where a config has a user's own kinds.

    Raises `Mistake` where one of them fails: their code runs here for the first time.
    """
    if not any(own.of_user(config)):
        return
    size = config.optim.batch_size
    batch = {"label": jax.ShapeDtypeStruct((size,), jnp.int32)} | {
        name: jax.ShapeDtypeStruct((size, *column.shape[1:]), column.dtype)
        for name, column in systems.example(data).items()
    }
    key = jax.random.key(0)
    with own.blamed(config, own.OF_NETWORK, "network"):
        variables = jax.eval_shape(system.begin, key)
        _, _, linear = jax.eval_shape(partial(_network, system), variables, batch)
    _check_classes(config, linear["kernel"].shape[-1], data.classes)
    with own.blamed(config, (Objective,), "objective"):
        memory = jax.eval_shape(system.objective.init, key, variables)
    with own.blamed(config, (Schedule, Optim), "rate"):
        every = backbones.of(config, task)
        for backbone in every:
            jax.eval_shape(backbone.rate, jax.ShapeDtypeStruct((), jnp.int32))
    for backbone in every:
        begin = partial(step.init, tx=backbone.tx)
        with own.blamed(config, (Optim,), "optimizer"):
            state = jax.eval_shape(begin, variables, memory=memory)
            moved = partial(step.moved, backbone.tx, grad_fn=lambda params, _: params)
            jax.eval_shape(moved, state.params, state)
        with own.blamed(config, (Objective, *own.OF_NETWORK), "training step"):
            jax.eval_shape(partial(_step, system, backbone.tx), key, state, batch)


def _check_classes(config, found, classes):
    """Refuses a network or a head of one's own that has other classes than the data."""
    if found == classes:
        return
    for path, choice, record in own.of_user(config):
        if choice in (Model, Head):
            raise Mistake(
                f"{path} is {type(record).__name__}, whose linear classifier is of "
                f"{found} classes; there are {classes}"
            )


def _network(system, variables, batch):
    """All that is asked of a network."""
    net = systems.network(system, system.fixed)
    found = systems.inputs(system, system.fixed, batch)
    keys = {"dropout": jax.random.key(0)}
    outputs = systems.apply(net)(variables, found, True, keys, ["batch_stats"])
    of_features = {kind: tree.get("features", {}) for kind, tree in variables.items()}
    features = net.features.apply(of_features, *arguments(found))
    linear = net.head.linear(variables["params"]["head"])
    return outputs, net.head.inputs(features), linear


def _step(system, tx, key, state, batch):
    """A training step."""
    apply = systems.apply(systems.network(system, system.fixed))
    advance = step.of_objective(apply, system.objective, tx)
    return advance(key, state, systems.prepare(system, system.fixed, key, state, batch))
