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
from pathlib import Path
from types import SimpleNamespace

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
from ltjax.runtime.command import exit_code
from ltjax.stages import backbones, bank, classifier
from ltjax.stages import keys as streams
from ltjax.stages import loader as loaders
from ltjax.stages import system as systems
from ltjax.workdir import identity
from ltjax.workdir.files import write_json

RECIPE = "cifar100_lt"
# `stages.teacher` needs more packages.
NOBODY = SimpleNamespace(params={}, teach=lambda params, images: {}, digest=None)


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
    run, begin = partial(stage, clock, at_once), time.perf_counter()
    data, change = sources.npz(config.data.train, config.data.test), dataclasses.replace
    train = longtail.tailed(data.train, data.classes, config.data.imbalance_factor)
    data = change(data, train=train)
    order = loaders.order(config, data)
    system = systems.of(config, data, order.task, NOBODY)
    _, backbone = backbones.of(config, order.task)
    columns = {"image": train.image, "label": train.label}
    columns, test = jax.block_until_ready(jax.device_put((columns, data.test)))
    images = {"image": columns["image"]}
    clock["seconds"]["data"] = time.perf_counter() - begin

    keys = jax.vmap(streams.keys)(jnp.arange(seeds))
    represent = make_represent(system, backbone, order)
    weights, finite = run("representation", represent, (keys,), (columns,))
    if not finite.all():
        at = int(finite.all(0).argmin()) + 1
        raise Mistake(f"a step of epoch {at} is not finite; try a smaller optim.lr")
    statistics, views, features = make_looks(config, system, backbone)
    stats = run("batch_norm", statistics, (weights, keys), (images,))
    everyone = weights, keys, stats
    seen = run("features", views, everyone, (images,))

    # The classifier, and for reference the one that is re-trained without draws.
    def head_of(name, keys, weights):
        settings = change(config.classifier, methods=(name,))
        head = system.net.head.linear(weights.mean["head"])
        given = settings, keys.head, head, None, order.task.counts
        made = heads.of_methods(*given, draws=True)
        (found,) = (
            head
            for (method, _), head in made.items()
            if method == name and "" in head.variants
        )
        return found

    def fit(name, views, keys, weights, labels):
        head = head_of(name, keys, weights)
        return fitted(head, config.classifier, order.index, views, keys, labels)

    labels = (columns["label"],)
    params = {
        "srepr": run("head", partial(fit, "srepr"), (seen, keys, weights), labels),
        # All that the reference looks at.
        "la": run(
            "reference", partial(fit, "la"), (seen[:, :, :1], keys, weights), labels
        ),
    }

    # One pass at test, with the mean.
    def evaluate(weights, keys, stats, params, test):
        z = features(weights, keys, stats, {"image": test.image}, mean=True)[0]
        log_probs = {
            name: jax.nn.log_softmax(head_of(name, keys, weights).logits(found, z))
            for name, found in params.items()
        }
        ones = jnp.ones(len(z))
        return {n: tally(p, test.label, ones) for n, p in log_probs.items()}, log_probs

    found = run("evaluation", evaluate, (*everyone, params), (test,))
    sums, log_probs = jax.device_get(found)
    rows, by_group = [], longtail.groups(order.task.counts)
    for name in params:
        for seed in range(seeds):
            row = {"seed": seed, "backbone": "swa", "classifier": name, "variant": ""}
            own = jax.tree.map(lambda leaf, seed=seed: leaf[seed], sums[name])
            rows.append({**row, **groups.summary(own, by_group)})
    return rows, log_probs


def make_represent(system, backbone, order):
    """Builds `represent(keys, columns)`: the posterior, and which epochs are finite."""
    apply = systems.apply(systems.network(system, system.fixed))
    run_epoch = epoch.make_epoch(
        step.of_objective(apply, system.objective, backbone.tx),
        partial(systems.prepare, system, system.fixed),
        lambda nothing, state: nothing,
    )

    def represent(keys, columns):
        def one(carry, number):
            state, collected = carry
            rows = order.rows(jax.random.fold_in(keys.order, number), number)
            both = keys.prepare, keys.step
            (state, _), history = run_epoch(both, (state, ()), columns, rows)
            # Snapshots are at the end of an epoch.
            return (state, backbone.collect(collected, state)), history["finite"].all()

        variables = system.begin(keys.init)
        key = jax.random.fold_in(keys.init, 1)
        carry = backbones.begun(backbone, system.objective, key, variables)
        carry, finite = jax.lax.scan(one, carry, jnp.arange(order.task.epochs))
        return backbone.weights(*carry), finite

    return represent


def make_looks(config, system, backbone):
    """Builds what gives statistics, features of views, and features of images."""
    posterior = config.posterior
    draw = extractors.features_of(extractors.whole(backbone.sample))
    seen = systems.extractor(system, draw)
    net, inputs = seen.net(seen.fixed), partial(seen.inputs, seen.fixed)
    parts = draw, net, inputs, posterior.batch_size, posterior.chunk
    refresh, compute = (
        make(*parts) for make in (extractors.make_refresh, extractors.make_features)
    )

    def members(keys):
        return extractors.make(keys.members, posterior.samples, posterior.scale)

    def statistics(weights, keys, images):
        return refresh(weights, members(keys), seen.seen(keys.statistics, images))

    def features(weights, keys, stats, images, mean=False):
        who = members(keys), stats
        who = map(extractors.first, who) if mean else who
        return compute(weights, *who, images)

    def views(weights, keys, stats, images):
        def view(number):
            key = jax.random.fold_in(keys.views, number)
            shown = {"image": seen.view(key, images["image"])}
            return features(weights, keys, stats, shown)

        return jax.lax.map(view, jnp.arange(bank.views(config)))

    return statistics, views, features


def fitted(head, settings, index, views, keys, labels):
    """The parameters of a head trained on `views` [V, M + 1, N, D] in turn."""
    batches = classifier.batches_of(head.sampling, settings, index)
    steps = len(jax.eval_shape(batches, keys.head_order, 0))
    rate = optax.cosine_decay_schedule(settings.lr, settings.epochs * steps)
    tx = schedule.sgd(rate, settings.momentum, settings.weight_decay)
    run_epoch = train.make_epoch(head.loss, tx)

    def one(carry, number):
        rows = batches(jax.random.fold_in(keys.head_order, number), number)
        seen = views[number % len(views)]
        params, momentum, _ = run_epoch(*carry, seen, labels, rows)
        return (params, momentum), None

    carry = head.params, tx.init(head.params)
    return jax.lax.scan(one, carry, jnp.arange(settings.epochs))[0][0]


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
