"""SRepr on CIFAR-100-LT as fast as one accelerator can, with the time of every stage.

    python experiments/speedrun.py --train A.npz --test B.npz --out speedrun.json

The files hold the whole CIFAR-100 in official order, or its long-tailed subset. Head
and random numbers are those of a run of the config, and so are, to rounding, its rows
SWA + SRepr and SWA + LA. Nothing else is trained or saved, all data lie on the device,
and a stage is one program, compiled apart. It needs jax, flax, optax, numpy and chex.

JAX_DEFAULT_MATMUL_PRECISION=highest makes a GPU's float32 more than TF32. So far tested
on a CPU with short schedules only: nothing is claimed about an accelerator.
"""

import argparse
import dataclasses
import platform
import sys
import time
from functools import partial
from pathlib import Path

import flax
import jax
import jax.numpy as jnp
import jaxlib
import numpy as np
import optax

from ltjax import config as configs
from ltjax import machine
from ltjax.classifier import linear, logit_adjustment, srepr, train
from ltjax.config import file, limits
from ltjax.data import longtail, sampling, sources
from ltjax.data.augment import geometry
from ltjax.evaluation import groups
from ltjax.evaluation.tally import tally
from ltjax.losses import cross_entropy
from ltjax.mistake import Mistake
from ltjax.models.cifar_resnet import CifarResNet
from ltjax.models.heads import Linear
from ltjax.models.network import Network
from ltjax.posterior import members as extractor
from ltjax.posterior import swag
from ltjax.representation import epoch, schedule, step
from ltjax.runtime.command import exit_code
from ltjax.stages import keys as streams
from ltjax.workdir import identity, versions
from ltjax.workdir.files import write_json

RECIPE = "cifar100_lt"


def read(args):
    """The flags of a command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--train", required=True, help="npz: image uint8 [N, H, W, C], label [N]")
    add("--test", required=True, help="npz of the test images")
    add("--out", type=Path, required=True, help="JSON file to write")
    add("--config", default=RECIPE, help="config of the run, FILE or FILE:NAME")
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


def stage(clock, at_once, name, function, seeds, shared):
    """`function(*seed, *shared)` for each of `seeds`, trees with a leading axis.

    `at_once` of them run side by side; one by one nothing is batched at all. `clock`
    gets the seconds, those of compiling apart.
    """

    def program(seeds, shared):
        size = at_once if at_once > 1 else None
        return jax.lax.map(
            lambda seed: function(*seed, *shared), seeds, batch_size=size
        )

    begin = time.perf_counter()
    compiled = jax.jit(program).lower(seeds, shared).compile()
    ready = time.perf_counter()
    found = jax.block_until_ready(compiled(seeds, shared))
    end = time.perf_counter()
    clock["compile_seconds"][name] = ready - begin
    clock["seconds"][name] = end - ready
    print(f"{name}: {end - ready:.2f} s, compiled in {ready - begin:.2f} s", flush=True)
    return found


def speedrun(config, seeds, at_once, clock):
    """Rows of the results, and the log probabilities [seeds, N, C] behind each."""
    run = partial(stage, clock, at_once)
    model, optim, swa = config.model, config.optim, config.swa
    posterior, heads = config.posterior, config.classifier
    begin = time.perf_counter()
    data = sources.npz(config.data.train, config.data.test)
    classes = data.classes
    split = longtail.tailed(data.train, classes, config.data.imbalance_factor)
    index = sampling.class_index(split.label, classes)
    mean, std = geometry.moments(split.image)
    images, labels, test = jax.block_until_ready(
        jax.device_put((split.image, split.label, data.test))
    )
    clock["seconds"]["data"] = time.perf_counter() - begin
    keys = jax.vmap(streams.keys)(jnp.arange(seeds))
    normalise = partial(geometry.normalise, mean=mean, std=std)

    def augmented(key, images):
        crop_key, flip_key = jax.random.split(key)
        images = geometry.crop(crop_key, images, config.augment.pad)
        return geometry.flip(flip_key, images) if config.augment.flip else images

    # The representation; at the end of each late epoch, a snapshot for the posterior.
    extract = CifarResNet(model.depth, model.width, jnp.dtype(model.dtype))
    net = Network(features=extract, head=Linear(classes))
    rule = optim.batch_size, optim.epochs, optim.drop_last
    batches = sampling.batches(optim.sampling, index, *rule)
    steps = sampling.steps(len(labels), optim.batch_size, optim.drop_last)
    start = configs.swa_start(config) * steps
    rate = schedule.to_constant(optim.lr, swa.lr, start, optim.warmup_epochs * steps)
    tx = schedule.sgd(rate, optim.momentum, optim.weight_decay)
    snapshot = epoch.every(swag.update, start, steps)
    run_epoch = epoch.make_epoch(
        step.make_step(net.apply, cross_entropy, tx),
        epoch.of_images(lambda key, images: normalise(augmented(key, images))),
        collect=lambda nothing, state: nothing,
    )

    def represent(keys, images, labels):
        def one(carry, number):
            state, average = carry
            rows = batches(jax.random.fold_in(keys.order, number), number)
            both, data = (keys.prepare, keys.step), {"image": images, "label": labels}
            (state, _), history = run_epoch(both, (state, ()), data, rows)
            return (state, snapshot(average, state)), history["finite"].all()

        state = step.init(net.init(keys.init, normalise(images[:1])), tx)
        carry = state, swag.init(state.params, swa.rank)
        (_, average), finite = jax.lax.scan(one, carry, jnp.arange(optim.epochs))
        return average, finite

    average, finite = run("representation", represent, (keys,), (images, labels))
    if not finite.all():
        at = int(finite.all(0).argmin()) + 1
        raise Mistake(f"a step of epoch {at} is not finite; try a smaller optim.lr")

    # The mean and every draw: statistics of their own, and features of several views.
    parts = extractor.features_of(extractor.whole(swag.sample)), net, normalise
    size, chunk = posterior.batch_size, posterior.chunk
    refresh = extractor.make_refresh(*parts, size, chunk)
    features = extractor.make_features(*parts, size, chunk)
    members = jax.vmap(
        lambda key: extractor.make(key, posterior.samples, posterior.scale)
    )(keys.members)

    def views(average, members, stats, keys, images):
        def view(number):
            seen = augmented(jax.random.fold_in(keys.views, number), images)
            return features(average, members, stats, seen)

        return jax.lax.map(view, jnp.arange(heads.views))

    def statistics(average, members, keys, images):
        return refresh(average, members, augmented(keys.statistics, images))

    stats = run("batch_norm", statistics, (average, members, keys), (images,))
    everyone = average, members, stats
    bank = run("features", views, (*everyone, keys), (images,))

    # The classifier, and for reference the one that is re-trained without draws.
    size = min(heads.batch_size, len(labels))
    head_batches = sampling.batches("instance", index, size, heads.epochs, False)
    head_steps = heads.epochs * sampling.steps(len(labels), size, False)
    head_rate = optax.cosine_decay_schedule(heads.lr, head_steps)
    head_tx = schedule.sgd(head_rate, heads.momentum, heads.weight_decay)
    counts, form = index.counts, dataclasses.asdict(heads.srepr)
    begins = form.pop("head")
    losses = {
        "srepr": lambda p, z, y: srepr.loss(p, z[0], z[1:], y, counts, **form),
        "la": lambda p, z, y: logit_adjustment.loss(p, z[0], y, counts, heads.tau),
    }

    def fit(name, bank, keys, stage_one, labels):
        run_epoch = train.make_epoch(losses[name], head_tx)

        def one(carry, number):
            rows = head_batches(jax.random.fold_in(keys.head_order, number), number)
            view = bank[number % heads.views]
            params, momentum, losses = run_epoch(*carry, view, labels, rows)
            return (params, momentum), losses.mean()

        params = linear.init(keys.head, bank.shape[-1], classes)
        if name == "srepr" and begins == "stage_one":
            params = stage_one
        carry = params, head_tx.init(params)
        return jax.lax.scan(one, carry, jnp.arange(heads.epochs))[0][0]

    head = average.mean["head"]
    seen = bank, keys, head
    found = {"srepr": run("head", partial(fit, "srepr"), seen, (labels,))}
    seen = bank[:, :, :1], keys, head  # all that the reference looks at
    found["la"] = run("reference", partial(fit, "la"), seen, (labels,))

    # One pass at test, with the mean.
    def evaluate(average, members, stats, found, test):
        who = extractor.first(members), extractor.first(stats)
        z = features(average, *who, test.image)[0]
        logits = {name: linear.logits(params, z) for name, params in found.items()}
        log_probs = jax.tree.map(jax.nn.log_softmax, logits)
        sums = {n: tally(p, test.label, jnp.ones(len(z))) for n, p in log_probs.items()}
        return sums, log_probs

    found = run("evaluation", evaluate, (*everyone, found), (test,))
    sums, log_probs = jax.device_get(found)
    rows, by_group = [], longtail.groups(counts)
    for name in losses:
        for seed in range(seeds):
            row = {"seed": seed, "backbone": "swa", "classifier": name, "variant": ""}
            own = jax.tree.map(lambda leaf, seed=seed: leaf[seed], sums[name])
            rows.append({**row, **groups.summary(own, by_group)})
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
    packages = {p.__name__: p.__version__ for p in (jax, jaxlib, flax, optax, np)}
    results = {
        "device": device.device_kind,
        "processor": machine.processor(),
        "peak_bytes": (device.memory_stats() or {}).get("peak_bytes_in_use"),
        "versions": {"python": platform.python_version(), **packages},
        "commit": versions.commit(),
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
