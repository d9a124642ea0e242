"""SRepr on CIFAR-100-LT as fast as one accelerator can, with the time of every stage.

    python experiments/speedrun.py --train A.npz --test B.npz --out speedrun.json

The files hold the whole CIFAR-100 in official order, or its long-tailed subset. Head
and random numbers are those of a run of the config, and so are, to rounding, its rows
SWA + SRepr and SWA + LA. Nothing else is trained or saved, all data lie on the device,
and a stage is one program, compiled apart. It needs jax, flax, optax, numpy, chex and
Pillow.

JAX_DEFAULT_MATMUL_PRECISION=highest makes a GPU's float32 more than TF32. So far tested
on a CPU with short schedules only: nothing is claimed about an accelerator.
"""

import argparse
import dataclasses
import sys
import time
from functools import partial
from operator import itemgetter
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from bench import harness

from ltjax import config as configs
from ltjax.classifier import heads, train
from ltjax.config import file, limits
from ltjax.data import longtail, sources
from ltjax.evaluation import groups
from ltjax.evaluation.tally import tally
from ltjax.mistake import Mistake
from ltjax.posterior import members as extractors
from ltjax.representation import epoch, schedule, step
from ltjax.representation.backbone import Backbone
from ltjax.runtime.command import exit_code
from ltjax.stages import backbones, bank, classifier
from ltjax.stages import keys as streams
from ltjax.stages import loader as loaders
from ltjax.stages import system as systems
from ltjax.workdir import identity
from ltjax.workdir.files import write_json

# `stages.teacher` needs more packages.
NOBODY = SimpleNamespace(
    params={}, teach=lambda params, images, moments: {}, digest=None
)


def read(args):
    """The flags of a command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--train", required=True, help="npz: image uint8 [N, H, W, C], label [N]")
    add("--test", required=True, help="npz of the test images")
    add("--out", type=Path, required=True, help="JSON file to write")
    add("--config", default="cifar100_lt", help="config of the run, FILE or FILE:NAME")
    add("--epochs", type=int, help="instead of the config's; warm-up and SWA scale")
    add("--dtype", choices=("bfloat16", "float32"), default="bfloat16")
    add("--seeds", type=int, default=1, help="runs, of seed 0, 1, ...")
    add("--at-once", type=int, default=1, help="seeds computed side by side")
    return parser.parse_args(args)


def recipe(flags):
    """The config of a command line."""
    config, change = file.read(flags.config), dataclasses.replace
    optim, start = config.optim, configs.swa_start(config)
    epochs = flags.epochs or optim.epochs
    warmup = optim.warmup_epochs * epochs // optim.epochs
    config = change(
        config,
        data=change(config.data, source="npz", train=flags.train, test=flags.test),
        model=change(config.model, dtype=flags.dtype),
        optim=change(optim, epochs=epochs, warmup_epochs=warmup),
        swa=change(config.swa, start=start * epochs // optim.epochs),
    )
    limits.check(config)
    if config.swa.every_steps or not config.classifier.views:
        raise Mistake("swa.every_steps has to be None here, classifier.views a number")
    if flags.seeds < 1:
        raise Mistake(f"--seeds is {flags.seeds}; it must be at least 1")
    if not flags.out.parent.is_dir():
        raise Mistake(f"--out {flags.out} lies in no folder; make it first")
    return config


class Recipe(NamedTuple):
    """What all seeds share."""

    config: configs.Config
    system: systems.System
    backbone: Backbone
    order: loaders.Order


def representation(of, seed, data):
    """The posterior, and which epochs are finite."""
    keys, system, backbone = seed["keys"], of.system, of.backbone
    apply = systems.apply(systems.network(system, system.fixed))
    run_epoch = epoch.make_epoch(
        step.of_objective(apply, system.objective, backbone.tx),
        partial(systems.prepare, system, system.fixed),
        lambda nothing, state: nothing,
    )

    def one(carry, number):
        state, collected = carry
        rows = of.order.rows(jax.random.fold_in(keys.order, number), number)
        both = keys.prepare, keys.step
        (state, _), history = run_epoch(both, (state, ()), data["train"], rows)
        # Snapshots are at the end of an epoch.
        return (state, backbone.collect(collected, state)), history["finite"].all()

    key, variables = jax.random.fold_in(keys.init, 1), system.begin(keys.init)
    carry = backbones.begun(backbone, system.objective, key, variables)
    carry, finite = jax.lax.scan(one, carry, jnp.arange(of.order.task.epochs))
    return backbone.weights(*carry), finite


def looks(of, seed):
    """The extractor, what its programs are made of, weights, and their members."""
    posterior = of.config.posterior
    draw = extractors.features_of(extractors.whole(of.backbone.sample))
    seen = systems.extractor(of.system, draw)
    net, inputs = seen.net(seen.fixed), partial(seen.inputs, seen.fixed)
    parts = draw, net, inputs, posterior.batch_size, posterior.chunk
    key, (weights, _) = seed["keys"].members, seed["representation"]
    members = extractors.make(key, posterior.samples, posterior.scale)
    return seen, parts, weights, members


def batch_norm(of, seed, data):
    """The statistics of every member."""
    seen, parts, *who = looks(of, seed)
    images = seen.seen(seed["keys"].statistics, {"image": data["train"]["image"]})
    return extractors.make_refresh(*parts)(*who, images)


def features(of, seed, data):
    """Those of every view of the training images [V, M + 1, N, D]."""
    seen, parts, *who = looks(of, seed)
    compute = partial(extractors.make_features(*parts), *who, seed["batch_norm"])

    def view(number):
        key = jax.random.fold_in(seed["keys"].views, number)
        return compute({"image": seen.view(key, data["train"]["image"])})

    return jax.lax.map(view, jnp.arange(bank.views(of.config)))


def begun(of, seed):
    """The `heads.Head` of either row, as it begins, by the name of its method."""
    weights, _ = seed["representation"]
    settings = dataclasses.replace(of.config.classifier, methods=tuple(ROWS))
    start = of.system.net.head.linear(weights.mean["head"])
    given = settings, seed["keys"].head, start, None, of.order.task.counts
    made = heads.of_methods(*given, draws=True)
    return {name: head for (name, _), head in made.items() if "" in head.variants}


def head(name, of, seed, data):
    """The parameters of a classifier, trained on the views in turn."""
    head, settings = begun(of, seed)[name], of.config.classifier
    key, views = seed["keys"].head_order, seed["features"]
    batches = classifier.batches_of(head.sampling, settings, of.order.index)
    steps = len(jax.eval_shape(batches, key, 0))
    rate = optax.cosine_decay_schedule(settings.lr, settings.epochs * steps)
    tx = schedule.sgd(rate, settings.momentum, settings.weight_decay)
    run_epoch = train.make_epoch(head.loss, tx)

    def one(carry, number):
        rows = batches(jax.random.fold_in(key, number), number)
        seen = views[number % len(views)]
        seen = seen if head.draws else seen[:1]
        params, momentum, _ = run_epoch(*carry, seen, data["train"]["label"], rows)
        return (params, momentum), None

    carry = head.params, tx.init(head.params)
    return jax.lax.scan(one, carry, jnp.arange(settings.epochs))[0][0]


def evaluation(of, seed, data):
    """Sums per class and log probabilities of either row: one pass, with the mean."""
    _, parts, weights, members = looks(of, seed)
    who = map(extractors.first, (members, seed["batch_norm"]))
    compute = extractors.make_features(*parts)
    z = compute(weights, *who, {"image": data["test"]["image"]})[0]
    made = begun(of, seed)
    log_probs = {
        name: jax.nn.log_softmax(made[name].logits(seed[stage], z))
        for name, stage in ROWS.items()
    }
    judged = data["test"]["label"], jnp.ones(len(z))
    return {name: tally(p, *judged) for name, p in log_probs.items()}, log_probs


# Each of what a seed has so far, {stage: what it gave}, and of the data.
STAGES = {
    "representation": representation,
    "batch_norm": batch_norm,
    "features": features,
    "head": partial(head, "srepr"),
    # Re-trained without draws.
    "reference": partial(head, "la"),
    "evaluation": evaluation,
}
ROWS = {"srepr": "head", "la": "reference"}


def timed(clock, at_once, name, function, seeds, data):
    """`function(seed, data)` of each of `seeds`, trees with a leading axis.

    `at_once` of them run side by side; one by one nothing is batched at all. `clock`
    gets the seconds, those of compiling apart.
    """

    def program(seeds, data):
        size = at_once if at_once > 1 else None
        return jax.lax.map(lambda seed: function(seed, data), seeds, batch_size=size)

    compiled, compiling, _ = harness.compiled(program, seeds, data)
    begin = time.perf_counter()
    found = jax.block_until_ready(compiled(seeds, data))
    seconds = time.perf_counter() - begin
    clock["compile_seconds"][name], clock["seconds"][name] = compiling, seconds
    print(f"{name}: {seconds:.2f} s, compiled in {compiling:.2f} s", flush=True)
    return found


def speedrun(config, seeds, at_once, clock):
    """Rows of the results, and the log probabilities [seeds, N, C] behind each."""
    begin = time.perf_counter()
    data = sources.npz(config.data.train, config.data.test)
    tailed = longtail.tailed(data.train, data.classes, config.data.imbalance_factor)
    data = dataclasses.replace(data, train=tailed)
    order = loaders.order(config, data)
    system = systems.of(config, data, order.task, NOBODY)
    _, backbone = backbones.of(config, order.task)
    of = Recipe(config, system, backbone, order)
    both = {"train": data.train, "test": data.test}
    both = {name: loaders.columns(split, ()) for name, split in both.items()}
    both = jax.block_until_ready(jax.device_put(both))
    clock["seconds"]["data"] = time.perf_counter() - begin
    found = {"keys": jax.vmap(streams.keys)(jnp.arange(seeds))}
    for name, stage in STAGES.items():
        found[name] = timed(clock, at_once, name, partial(stage, of), found, both)
        _, finite = found["representation"]
        if not finite.all():
            at = int(finite.all(0).argmin()) + 1
            raise Mistake(f"a step of epoch {at} is not finite; try a smaller optim.lr")
    sums, log_probs = jax.device_get(found["evaluation"])
    by_group = longtail.groups(order.task.counts)
    rows = [
        {
            **{"seed": seed, "backbone": "swa", "classifier": name, "variant": ""},
            **groups.summary(jax.tree.map(itemgetter(seed), sums[name]), by_group),
        }
        for name in ROWS
        for seed in range(seeds)
    ]
    return rows, log_probs


def main(args):
    """Runs one command line; returns the exit code."""
    return exit_code(lambda: report(read(args)), "speedrun")


def report(flags):
    """Runs the recipe of a command line, prints its figures and writes them."""
    config = recipe(flags)
    clock = {"seconds": {}, "compile_seconds": {}}
    rows, _ = speedrun(config, flags.seeds, flags.at_once, clock)
    device = jax.devices()[0]
    for times in clock.values():
        times["total"] = sum(times.values()) - times["reference"]
    results = {
        **harness.header(),
        "device": device.device_kind,
        "peak_bytes": (device.memory_stats() or {}).get("peak_bytes_in_use"),
        "config": identity.of_config(config),
        "matmul_precision": jax.config.jax_default_matmul_precision or "default",
        "at_once": flags.at_once,
        **clock,
        "rows": rows,
    }
    write_json(flags.out, results)
    for row in rows:
        name, accuracy = row["classifier"], row["acc"]["all"]
        print(f"{name} {row['seed']}: {accuracy:.2f} %, NLL {row['nll']:.3f}")
    print(f"{results['seconds']['total']:.1f} s in all on {device.device_kind}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
