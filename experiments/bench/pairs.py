"""Training, inference and scores in ltjax and in PyTorch, for `beside.py` to time."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import torch

from bench import peer
from bench.harness import ready
from bench.shared import (
    BATCH,
    CLASSES,
    COUNT,
    MEAN,
    SGD,
    STD,
    normalise,
    shared,
    started,
)
from ltjax import losses, machine
from ltjax.classifier import heads, linear, logit_adjustment, train
from ltjax.data import longtail
from ltjax.evaluation import scores
from ltjax.posterior import members, predictive, swag
from ltjax.representation import epoch, schedule

DIM, RANK = 64, 20
MAY_FAIL = "torch.compile"


class Scale(NamedTuple):
    """How much is done in one timed call."""

    steps: int
    test_images: int
    refresh_images: int
    refresh_batch: int
    whole: bool  # also against torch.compile and against variants


QUICK = Scale(4, 2000, 256, 256, whole=False)
FULL = Scale(10, 10_000, 1000, 500, whole=True)


class Pair(NamedTuple):
    """Calls that do the same work; each returns when its work is done."""

    work: int
    unit: str
    sides: dict[str, Callable]  # "ltjax" first


def use_cpu():
    """Keeps both libraries on the CPU, with as many threads."""
    jax.config.update("jax_platforms", "cpu")
    # Or first calls would take what an earlier bench left them to compile.
    jax.config.update("jax_enable_compilation_cache", False)
    torch.set_num_threads(machine.threads())


def twin(channels_last=True):
    """The same network in PyTorch."""
    network = peer.load(peer.Network(32, 16, CLASSES, MEAN, STD), shared().variables)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    return network.to(memory_format=layout)


def train_step(scale):
    """Forward, backward and update, `steps` of them, as an epoch of stage one."""
    at = shared()
    rows = at.rng.permutation(COUNT)[: scale.steps * BATCH].reshape(-1, BATCH)
    sides = {
        "ltjax": stage_one(at.net, at.variables, rows, lambda posterior, state: ()),
        "torch": torch_training(twin(), rows),
    }
    if scale.whole:
        sides["torch, contiguous"] = torch_training(twin(channels_last=False), rows)
        sides[MAY_FAIL] = torch_training(torch.compile(twin()), rows)
        sides["ltjax, 1 snapshot"] = stage_one(
            at.net,
            at.variables,
            rows,
            epoch.every(swag.update, 0, scale.steps),
            swag.init(at.variables["params"], RANK),
        )
    return Pair(rows.size, "images", sides)


def stage_one(net, variables, rows, collect, posterior=()):
    """A call that trains on the batches `rows` [steps, B] with ltjax."""
    run, carry, data = started(net, variables, collect, posterior)
    keys, rows = tuple(jax.random.split(jax.random.key(1))), jnp.asarray(rows, int)

    def call():
        nonlocal carry
        carry, history = run(keys, carry, data, rows)
        return carry, history

    return ready(call)


def torch_training(model, rows):
    """A call that trains on the same batches with a plain loop."""
    at, optimiser = shared(), peer.sgd(model.parameters(), *SGD)
    images, labels = (torch.from_numpy(x) for x in (at.images, at.labels.astype(int)))
    rows = torch.from_numpy(rows)

    def call():
        model.train()
        for batch in rows:
            peer.train_step(model, optimiser, images[batch], labels[batch])

    return call


def inference(scale):
    """Logits of test images, one deterministic pass: features as a run's, the head."""
    at = shared()
    images = at.images[: scale.test_images]

    features = members.make_features(
        lambda params, member: params["features"],
        at.net,
        normalise,
        len(images),
        chunk=1,
    )

    @jax.jit
    def logits(variables, stats, images):
        params = variables["params"]
        z = features(params, jnp.arange(1), stats, images)[0]
        return at.net.head.apply({"params": params["head"]}, z)

    stats = jax.tree.map(lambda leaf: leaf[None], at.variables["batch_stats"])
    args = jax.device_put((at.variables, stats["features"], images))

    def torch_side(model, size=predictive.CPU_BATCH):
        model.eval()

        @torch.inference_mode()
        def call():
            return [model(batch) for batch in torch.from_numpy(images).split(size)]

        return call

    sides = {"ltjax": ready(lambda: logits(*args)), "torch": torch_side(twin())}
    if scale.whole:
        for size in (50, 128, 250):
            sides[f"torch, {size} at a time"] = torch_side(twin(), size)
        sides[MAY_FAIL] = torch_side(torch.compile(twin()))
    return Pair(len(images), "images", sides)


def head(scale):
    """Three epochs of a linear head with logit adjustment on cached features."""
    at, tx = shared(), schedule.sgd(*SGD)
    features = at.rng.normal(size=(COUNT, DIM)).astype(np.float32)
    steps = COUNT // BATCH
    rows = at.rng.permutation(COUNT)[: steps * BATCH].reshape(steps, BATCH)
    params = linear.init(jax.random.key(4), DIM, CLASSES)
    state = params, tx.init(params)
    run = jax.jit(
        train.make_epoch(
            lambda params, z, y: logit_adjustment.loss(params, z[0], y, at.counts), tx
        )
    )
    ours = jax.device_put((features[None], at.labels, rows))

    def call():
        nonlocal state
        for _ in range(3):
            *state, _ = run(*state, *ours)
        return state

    model = torch.nn.Linear(DIM, CLASSES)
    optimiser = peer.sgd(model.parameters(), *SGD)
    shift = torch.tensor(np.asarray(losses.log_prior(at.counts)))
    inputs, labels, batches = (
        torch.from_numpy(x) for x in (features, at.labels.astype(int), rows)
    )

    def torch_side():
        for _ in range(3):
            for batch in batches:
                peer.train_step(model, optimiser, inputs[batch], labels[batch], shift)

    return Pair(3 * rows.size, "images", {"ltjax": ready(call), "torch": torch_side})


def evaluation(scale):
    """Every figure of a row of the table, from the features of 10,000 test images."""
    at = shared()
    features = at.rng.normal(size=(10_000, DIM)).astype(np.float32)
    labels = np.arange(10_000) % CLASSES
    params = linear.init(jax.random.key(5), DIM, CLASSES)
    log_probs = heads.one_pass(linear.logits, params)
    ours = jnp.asarray(features[None])
    weight, bias = (torch.tensor(np.asarray(params[n])) for n in ("kernel", "bias"))
    inputs, targets = torch.from_numpy(features), torch.from_numpy(labels)
    sides = {
        "ltjax": lambda: scores.score(
            log_probs, ours, labels, longtail.groups(at.counts)
        ),
        "torch": lambda: peer.scores(inputs @ weight + bias, targets),
    }
    return Pair(10_000, "images", sides)
