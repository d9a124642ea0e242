"""The story of a routing: a router trained on a run's experts, its tests routed."""

import math
import time
from functools import partial

import jax
import numpy as np
from rich.console import Console

from ltjax.classifier import METHODS, router, train
from ltjax.classifier.routing import Routed
from ltjax.data import longtail, resident
from ltjax.data.dataset import streamed
from ltjax.evaluation import cost, scores
from ltjax.mistake import Mistake, shown
from ltjax.representation import schedule
from ltjax.route import experts as cascade
from ltjax.route import table
from ltjax.runtime import progress
from ltjax.stages import backbones, classifier, loading, trained
from ltjax.workdir import files, rows, versions
from ltjax.workdir.files import check_new, write_arrays, write_json
from ltjax.workdir.results import record

_SETTINGS = ("epochs", "batch_size", "lr", "weight", "top", "threshold")
_MOMENTUM, _WEIGHT_DECAY = 0.9, 5e-4  # as released
_STREAM = 1  # folded into the key of new heads
_PART = 2**29  # bytes of test images on the device at once


def route(command, console=None):
    """Does what an `ltjax.route.Command` asks for; returns what its .json holds.

    Raises `Mistake` for whatever the user can put right.
    """
    console = console or Console()
    arrays = command.out.with_suffix(".router.npz")
    _check(command, arrays)
    row, config = _row(command)
    data = loading.load(config.data, console, config.augment)
    stored = trained.held(command.run, row.backbone, config, data)
    experts = cascade.of_run(stored, row.classifier, row.variant)
    with progress.stage(console, "train the router", command.epochs) as advance:
        params, losses = _trained(command, stored, experts, advance)
    with progress.stage(console, "route", len(data.test.label)) as advance:
        seen, seconds = _routed(command, experts, params, data.test.image, advance)
    images = len(data.test.label)
    stopped = np.bincount(seen.used - 1, minlength=experts.experts)
    found = {
        "run": str(command.run),
        "row": str(row),
        "experts": experts.experts,
        "images": images,
        "router": {name: getattr(command, name) for name in _SETTINGS},
        "losses": losses,
        "rows": _lines(stored, experts, params, seen),
        "stopped": (stopped / images).tolist(),
        "ran": seen.ran.tolist(),
        "at_once": min(command.at_once, images),
        "device": jax.devices()[0].device_kind,
        "commit": versions.commit(),
        "seconds": seconds,
    }
    with files.writable(command.out):
        write_arrays(arrays, {**_flat(params), "used": seen.used})
        write_json(command.out, found)
    console.print(table.table(found))
    console.print(
        f"{shown(command.out)} has all of this, {shown(arrays)} the router, and how "
        "many experts each image used",
        soft_wrap=True,
        highlight=False,
        markup=False,
    )
    return found


def read(path):
    """The parameters of the router in an .npz that `route` wrote."""
    with np.load(path, allow_pickle=False) as file:
        return {
            layer: {name: file[f"{layer}/{name}"] for name in ("kernel", "bias")}
            for layer in ("hidden", "ask")
        }


def _flat(params):
    return {
        f"{layer}/{name}": np.asarray(leaf)
        for layer, leaves in params.items()
        for name, leaf in leaves.items()
    }


def _check(command, arrays):
    """Refuses settings that are out of range, and files that are not to be written."""
    for name, holds, wanted in (
        ("epochs", command.epochs >= 1, "at least 1"),
        ("batch_size", command.batch_size >= 1, "at least 1"),
        ("lr", 0 < command.lr < math.inf, "positive"),
        ("weight", 0 < command.weight < math.inf, "positive"),
        ("top", command.top >= 1, "at least 1"),
        ("threshold", 0 <= command.threshold <= 1, "in 0..1"),
        ("at_once", command.at_once >= 1, "at least 1"),
    ):
        if not holds:
            flag, value = name.replace("_", "-"), getattr(command, name)
            raise Mistake(f"--{flag} is {value}; it must be {wanted}")
    if command.out.suffix != ".json":
        raise Mistake(f"--out {shown(command.out)} is no .json; wanted one")
    for path in (command.out, arrays):
        check_new(path, command.overwrite)


def _row(command):
    """The `Row` to route, and the config of its run."""
    results, config = record(command.run)
    row = rows.choose(command.run, results, command.classifier)
    if config.data.meta:
        raise Mistake(
            f"{shown(command.run)} takes metadata, {', '.join(config.data.meta)}; a "
            "router asks experts of images alone"
        )
    if (config.model.experts or 1) < 2:
        raise Mistake(
            f"{shown(command.run)} has 1 expert; a router chooses between 2 or more, "
            "as model.count says"
        )
    backbone = backbones.of_row(config, row.backbone)
    if row.backbone == backbone.drawn:
        raise Mistake(
            f"--classifier {row} is the mean of many passes; give "
            f"{row._replace(backbone=backbone.name)}, which has a classifier for each "
            "expert"
        )
    method = METHODS.get(row.classifier)  # None of no re-training
    if config.classifier.experts == "together" and method and method.JOINT:
        raise Mistake(
            f"--classifier {row} is of experts whose classifiers learned together, "
            "none of which stands alone; give sgd/none or swa/none"
        )
    return row, config


def _trained(command, stored, experts, advance):
    """The router's parameters, and the mean loss of each epoch."""
    init_key, order_key = jax.random.split(
        jax.random.fold_in(stored.keys.head, _STREAM)
    )
    dim = stored.plain.shape[-1]
    # Of a class without training images rows have a logit far below all others, which
    # would drown what the router learns; of the largest it is never one.
    present = int((stored.index.counts > 0).sum())
    view = trained.views(stored)
    batches = jax.jit(classifier.batches_of("class", command, stored.index))
    steps = len(jax.eval_shape(batches, order_key, 0))
    rate = schedule.by_epoch(schedule.to_zero(command.lr, command.epochs, 0), steps)
    means = []

    def loss(params, features, labels):
        z = features[0]
        logits = experts.logits(experts.weights, z)
        return router.loss(params, z, logits, labels, command.weight)

    def watch(epoch, losses, params):
        whole = jax.tree.leaves((losses, params))
        if not all(np.isfinite(leaf).all() for leaf in whole):
            raise Mistake(
                f"the router's training diverged in epoch {epoch + 1}; try a smaller "
                f"--lr than {command.lr:g}"
            )
        means.append(float(losses.mean()))
        advance(f"loss {means[-1]:.3f}")

    params = train.fit(
        router.init(init_key, experts.experts, dim, present, command.top),
        loss,
        schedule.sgd(rate, _MOMENTUM, _WEIGHT_DECAY),
        lambda epoch: view(epoch, False),
        stored.data.train.label,
        lambda epoch: batches(jax.random.fold_in(order_key, epoch), epoch),
        command.epochs,
        watch,
    )
    return params, means


def _routed(command, experts, params, images, advance):
    """What came out for all images, a `routing.Routed`, and the seconds it took.

    Each program runs twice on the same images, once to be compiled, once to be timed.
    """
    count = len(images)
    at_once = min(command.at_once, count)
    weights, threshold = experts.weights, command.threshold
    programs = {
        "routed": partial(
            cascade.make_routed(experts, at_once), weights, params, threshold
        ),
        "whole": partial(cascade.make_whole(experts, at_once), weights),
    }
    seconds, found = dict.fromkeys(programs, 0.0), []
    parts = math.ceil(math.prod(images.shape) / _PART)
    for part in np.array_split(np.arange(count), parts):
        pixels = jax.device_put(_pixels(images, part))
        for name, program in programs.items():
            jax.block_until_ready(program(pixels))
            begin = time.monotonic()
            seen = jax.block_until_ready(program(pixels))
            seconds[name] += time.monotonic() - begin
            if name == "routed":
                found.append(jax.tree.map(np.asarray, seen))
        advance(to=int(part[-1]) + 1)
    logits, used, ran = zip(*found)
    every = Routed(np.concatenate(logits), np.concatenate(used), np.sum(ran, axis=0))
    return every, seconds


def _lines(stored, experts, params, seen):
    """The rows of the table: of the kept test features, but the routed one."""
    labels, counts = stored.data.test.label, stored.index.counts

    def line(name, macs, log_probs, features):
        figures, _ = scores.score(log_probs, features, labels, longtail.groups(counts))
        return {"name": name, **figures, "macs": macs}

    def first(count):
        """`log_probs(features [1, B, E, D]) -> [B, C]` of the first so many experts."""

        def log_probs(features):
            logits = experts.logits(experts.weights, features[0])
            return jax.nn.log_softmax(logits[:, :count].mean(1))

        return log_probs

    alone, asked = cascade.macs(experts, params, stored.data.test.image.shape[1:])
    names = ["1 expert", *(f"{n} experts" for n in range(2, experts.experts))]
    names.append(f"all {experts.experts} experts")
    found = [
        line(name, macs, first(count), stored.test[:1])
        for count, (name, macs) in enumerate(zip(names, alone), 1)
    ]
    mean = float(cost.routed(seen.used, asked))
    own = line("routed", mean, lambda z: jax.nn.log_softmax(z[0]), seen.logits[None])
    return [*found, own]


def _pixels(images, part):
    """Images uint8 [n, H, W, ch], decoded where they are in their files."""
    if streamed(images):
        return np.stack(resident.each(images.plain, part))
    return images[part]
