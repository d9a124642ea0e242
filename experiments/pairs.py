"""Training, inference and scores in ltjax and in PyTorch, for `bench.py` to time.

A ResNet-32 for 100 classes, in batches of 128 images of 32 × 32 × 3, uint8, that are
scaled on the way; the images are noise, which takes as long as any others.
"""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import peer
import torch

from ltjax import config, losses, machine
from ltjax.classifier import heads, linear, logit_adjustment, train
from ltjax.data import longtail
from ltjax.data.augment import geometry
from ltjax.evaluation import scores
from ltjax.posterior import members, predictive, swag
from ltjax.representation import epoch, schedule, step

COUNT = 10_847  # training images of CIFAR-100-LT at factor 100
CLASSES, BATCH, DIM, RANK = 100, 128, 64, 20
MEAN, STD = (0.5, 0.49, 0.44), (0.27, 0.26, 0.28)
SGD = (0.01, 0.9, 5e-4)  # rate, momentum, weight decay
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


class Shared(NamedTuple):
    """What all pairs start from."""

    net: object
    variables: dict
    images: np.ndarray  # [COUNT, 32, 32, 3]
    labels: np.ndarray
    counts: np.ndarray  # [CLASSES]
    rng: np.random.Generator


@cache
def shared():
    """Images, labels of a long tail, and the network with its first weights."""
    rng = np.random.default_rng(0)
    counts = longtail.exponential_counts(CLASSES, 500, 100)
    labels = rng.permutation(np.repeat(np.arange(CLASSES), counts)).astype(np.int32)
    images = rng.integers(0, 256, (len(labels), 32, 32, 3), np.uint8)
    net = config.CifarResNet(depth=32).make(CLASSES)
    variables = net.init(jax.random.key(0), normalise(images[:1]))
    return Shared(net, variables, images, labels, counts, rng)


def use_cpu():
    """Keeps both libraries on the CPU, with as many threads; returns their number."""
    jax.config.update("jax_platforms", "cpu")
    # Or first calls would take what an earlier bench left them to compile.
    jax.config.update("jax_enable_compilation_cache", False)
    threads = machine.threads()
    torch.set_num_threads(threads)
    return threads


def normalise(images):
    """As in a run: uint8 to scaled float32."""
    return geometry.normalise(images, MEAN, STD)


def twin(channels_last=True):
    """The same network in PyTorch."""
    network = peer.load(peer.Network(32, 16, CLASSES, MEAN, STD), shared().variables)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    return network.to(memory_format=layout)


def ready(function):
    """`function` that waits for its results, as PyTorch does on a CPU."""
    return lambda: jax.block_until_ready(function())


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
    at, tx = shared(), schedule.sgd(*SGD)
    run = jax.jit(
        epoch.make_epoch(
            step.make_step(net.apply, losses.cross_entropy, tx),
            epoch.of_images(lambda _, images: normalise(images)),
            collect,
        ),
        donate_argnums=1,
    )
    # Copied, as the carry is donated.
    carry = jax.tree.map(jnp.copy, (step.init(variables, tx), posterior))
    data = {"image": at.images, "label": at.labels}
    carry, data = jax.device_put((carry, data))
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
        members.of_point, at.net, normalise, len(images), chunk=1
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
