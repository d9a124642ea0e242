"""Stage one of a run: the network, and its training under a schedule."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ltjax import config as configs
from ltjax.config.kind import told
from ltjax.data import sampling
from ltjax.evaluation import cost as costs
from ltjax.models import pretrained
from ltjax.posterior import swag
from ltjax.representation import epoch, schedule, step
from ltjax.representation.objective import Task
from ltjax.runtime import devices
from ltjax.stages import deviations, epochs, training

NAMES = ("sgd", "swa")


def start(model, channels):
    """The weights that a model config begins with, for images of so many channels."""
    if told(model, "pretrained") is None:
        return pretrained.none()
    return pretrained.read(model.pretrained, model.body(), model.frozen, channels)


def parameters(model, classes, start, image):
    """The shapes of the network's parameters for images of the shape [H, W, ch]."""
    net = model.make(classes)
    images = jax.ShapeDtypeStruct((1, *image), jnp.float32)

    def init(frozen, images):
        return net.init(jax.random.key(0), start.trunk(frozen, images))["params"]

    return jax.eval_shape(init, start.frozen, images)


def inputs(model, classes, params):
    """The shape of what a classifier takes of an image: (D,), or (E, D) of E experts.

    `params` are the network's, or their shapes.
    """
    head = model.make(classes).head
    return jax.eval_shape(head.linear, params["head"])["kernel"].shape[:-1]


def cost(model, classes, start, image):
    """Parameters, and multiply-accumulates of one image of the shape [H, W, ch].

    Frozen parts are not counted.
    """
    net = model.make(classes)
    images = jax.ShapeDtypeStruct((1, *image), jnp.float32)
    inputs = jax.eval_shape(start.trunk, start.frozen, images)
    program, (_, variables) = jax.make_jaxpr(net.init_with_output, return_shape=True)(
        jax.random.key(0), inputs
    )
    sizes = [leaf.size for leaf in jax.tree.leaves(variables["params"])]
    return {"parameters": sum(sizes), "macs": costs.macs(program)}


class Rule(NamedTuple):
    """How the weights of a backbone move, and what is collected of them."""

    rate: Callable  # of the step
    tx: optax.GradientTransformation
    collect: Callable  # (posterior, state) -> posterior


def rule(config, name, steps):
    """The rule of the backbone `name`, "sgd" or "swa", with so many steps an epoch."""
    optim, swa = config.optim, config.swa
    if name == "swa":
        start, warmup = configs.swa_start(config) * steps, optim.warmup_epochs * steps
        rate = schedule.to_constant(optim.lr, swa.lr, start, warmup)
        collect = epoch.every(swag.update, start, swa.every_steps or steps)
        return Rule(*optim.make(steps, rate), collect)
    return Rule(*optim.make(steps), lambda posterior, state: posterior)


def train(session, name):
    """Trains the backbone `name`, "sgd" or "swa", and returns (state, posterior).

    The SGD run decays its rate to zero and has no posterior, (). The SWA run holds a
    constant rate after `swa.start` and folds its snapshots into a `swag.State`. Both
    see the same initial weights, batches and augmentations. An unfinished training goes
    on from its newest checkpoint, on any number of devices. What is returned lies whole
    on each of them, the deviations where `swa.place` says.

    Raises `Mistake` at a step that is not finite, which is not taken and told in
    `divergence.npz`, and `Stopped` where the run was asked to stop.
    """
    config, keys, net = session.config, session.keys, session.net
    optim, swa = config.optim, config.swa
    rows = jax.jit(
        sampling.batches(
            optim.sampling,
            session.index,
            optim.batch_size,
            optim.epochs,
            optim.drop_last,
        )
    )
    steps = len(jax.eval_shape(rows, keys.order, 0))
    per_epoch = -(-steps // (swa.every_steps or steps))
    place = swa.place if name == "swa" else "device"  # only SWA has deviations
    store = deviations.placed(place, swa.rank, per_epoch)
    rate, tx, collect = rule(config, name, steps)
    task = Task(session.index.counts, steps, optim.epochs)
    loss = config.objective.make(task).loss

    def prepare(frozen, key, batch):
        trunk, teacher = frozen
        seen = session.seen(key, batch["image"])
        images = devices.spread(session.normalise(seen))
        inputs = session.pretrained.trunk(trunk, images)
        return {**batch, "image": inputs, **session.teacher.told(teacher, seen)}

    def begin(variables):
        state = step.init(variables, tx)
        if name != "swa":
            return state, ()
        return state, swag.init(state.params, store.rank, swa.dtype)

    # Not compiled as a whole: a generator takes a second to compile, and one by one
    # those of equal shape, and of the other backbone, are compiled once.
    trunk = session.pretrained.frozen
    frozen = devices.whole((trunk, session.teacher.params))
    shape = session.data.train.image.shape[1:]
    image = session.normalise(np.zeros((1, *shape), np.uint8))
    variables = net.init(
        jax.random.clone(keys.init), session.pretrained.trunk(trunk, image)
    )
    variables = pretrained.begin(variables, session.pretrained)
    shapes = jax.eval_shape(begin, variables)
    placed = store.shardings(shapes)
    kind = (epochs.streamed if session.streams else epochs.resident)(
        session,
        rows,
        devices.whole(frozen),
        step.of_gradient(step.make_gradient(net.apply, loss), tx),
        prepare,
        collect,
        placed,
    )
    parts = training.Parts(
        name=name,
        steps=steps,
        rate=rate,
        epochs=kind,
        store=store,
        prepare=partial(prepare, frozen),
    )
    return training.run(
        session,
        parts,
        shapes,
        lambda: jax.jit(begin, out_shardings=placed)(variables),
    )
