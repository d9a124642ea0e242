r"""Which batch-norm statistics the rows of a run want: rules compared on its backbones.

    python experiments/batch_statistics.py RUN --test cifar100_test.npz \
        --out experiments/results/batch_statistics_cifar100_lt100_cpu.jsonl

RUN has trained one network on images in memory, with `--data.holdout`, so that
its own test images are held-out training images: on these a rule is chosen. The figures
on the official test set are for the record. Each rule gives statistics to the SGD
weights, the SWA mean and its draws, all features are made with them, LA and SRepr are
trained again on one view of them, and the rows are appended, a JSON line each. The same
command goes on with the rules that are missing.
"""

import argparse
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import spearmanr

from ltjax import machine
from ltjax.classifier import heads
from ltjax.config import Config, file
from ltjax.data import longtail, sampling, sources
from ltjax.data.augment import geometry
from ltjax.data.dataset import Dataset, Split
from ltjax.evaluation import scores
from ltjax.mistake import Mistake
from ltjax.models.network import Network
from ltjax.posterior import dispersion, swag
from ltjax.posterior import members as extractor
from ltjax.runtime.command import exit_code
from ltjax.stages import kept, trained
from ltjax.stages import keys as streams
from ltjax.stages.loading import load
from ltjax.workdir import checkpoint, identity, versions

ROWS = ("none", ""), ("la_posthoc", ""), ("la", ""), ("srepr", "c-mean")
HEADS = file.read("cifar100_lt:cpu").classifier


class Rule(NamedTuple):
    """From which images statistics are taken, and which are in a batch."""

    name: str
    views: int = 0  # augmented ones; 0: the images as they are
    key: int = 0
    batch_size: int = 1000
    shuffled: bool = False
    by_class: bool = False  # batches in index order, of images sorted by class
    averages: bool = False  # those of training
    draws: bool = True  # whether SWA, and its draws, are tried too


RULES = (
    Rule("running averages of training", averages=True, draws=False),
    Rule("plain, class order", by_class=True),
    Rule("plain, strides"),
    Rule("augmented, strides", views=1),
    Rule("augmented, strides, another key", views=1, key=1, draws=False),
    Rule("augmented, shuffled", views=1, shuffled=True, draws=False),
    Rule("augmented, strides, batches of 128", views=1, batch_size=128, draws=False),
    Rule("four augmented views, strides", views=4, draws=False),
)


def images_of(rule, seen, images):
    """The images [V N, ...] that statistics are taken from, in the rule's order."""
    key = jax.random.fold_in(jax.random.key(7), rule.key)
    if rule.views:
        keys = jax.random.split(key, rule.views)
        images = np.concatenate([np.asarray(seen(key, images)) for key in keys])
    if rule.shuffled:
        images = images[np.random.default_rng(rule.key).permutation(len(images))]
    return images


def refreshed(rule, parts, weights, members, images):
    """The members' statistics, [M + 1, ...]; `parts` are a draw, a net, a prepare."""
    if not rule.by_class:
        run = jax.jit(extractor.make_refresh(*parts, rule.batch_size, chunk=1))
        return run(weights, members, images)
    # What a run once did: neighbours share a batch.
    fold, carry = jax.jit(extractor.make_fold(*parts, chunk=1)), None
    for part in np.array_split(images, -(-len(images) // rule.batch_size)):
        carry = fold(weights, members, carry, part)
    return carry[1]


class Opened(NamedTuple):
    """A run's backbone, and the images that it is judged on."""

    out: Path
    name: str
    config: Config
    net: Network
    prepare: Callable  # images uint8 -> what the network takes
    weights: Any  # parameters of "sgd", a `swag.State` of "swa"
    averages: dict  # running averages of its last step
    data: Dataset  # its test images are held-out training images
    official: Split  # the test set

    @property
    def point(self):
        """The parameters of the single network."""
        return self.weights.mean if self.name == "swa" else self.weights


def opened(out, name, config, data, official):
    """The backbone `name` of the run of `config` in `out`, trained to its end."""
    place = kept.newest(out, name)
    epochs = checkpoint.position(place)[0]
    if epochs != config.optim.epochs:
        raise Mistake(f"{place} has {epochs} epochs of {config.optim.epochs}")
    state, posterior = checkpoint.load_as_saved(place)
    moments = geometry.moments(data.train.image)
    return Opened(
        out=out,
        name=name,
        config=config,
        net=config.model.make(data.classes),
        prepare=lambda images: geometry.normalise(images, *moments),
        weights=swag.State(**posterior) if name == "swa" else state["params"],
        averages=state["batch_stats"]["features"],
        data=data,
        official=official,
    )


def lines(seen, rule, samples):
    """The rows of a backbone under a rule, as records."""
    config, data, images = seen.config, seen.data, seen.data.train.image
    keys = streams.keys(config.seed)
    members = extractor.make(keys.members, samples, config.posterior.scale)
    weights = jax.device_put(seen.weights)
    of = extractor.of_swag if seen.name == "swa" else extractor.of_point
    change = jax.jit(config.augment.make()["full"])

    parts = of, seen.net, seen.prepare
    if rule.averages:
        stats = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], seen.averages)
    else:
        chosen = images_of(rule, change, images)
        stats = refreshed(rule, parts, weights, members, chosen)
    make = extractor.make_features(*parts, config.posterior.batch_size, chunk=1)
    features = partial(jax.jit(make), weights, members, stats)
    sets = {
        "held out": (features(data.test.image), data.test.label),
        "test": (features(seen.official.image), seen.official.label),
    }
    yield from _rows(seen, features(change(keys.views, images)), sets)


def _rows(seen, view, sets):
    """The rows on features [M + 1, N, D], of a view and of the images of both sets."""
    index = sampling.class_index(seen.data.train.label, seen.data.classes)
    counts, head = index.counts, seen.net.head.linear(seen.point["head"])
    stored = trained.Trained(
        out=seen.out,
        config=seen.config,
        results={},
        backbone=seen.name,
        net=seen.net,
        frozen={},
        prepare=seen.prepare,
        weights=seen.weights,
        members=None,
        batch_stats=None,
        data=seen.data,
        index=index,
        head=head,
        plain=view[0],  # for NCM alone, which is no row here
        test=sets["test"][0],
    )
    settings = HEADS
    made = trained.heads(stored, settings)
    for classifier, variant in ROWS:
        recipe = made.get((classifier, variant))
        if recipe is None:
            continue  # SGD has no draws
        params = trained.refit(
            stored, recipe, settings, lambda _, draws: view if draws else view[:1]
        )
        for name, (features, labels) in sets.items():
            once = heads.one_pass(recipe.logits, params)
            row = {"backbone": seen.name, "classifier": classifier}
            yield {
                **{"set": name, **row, "variant": variant},
                **scores.score(once, features[:1], labels, longtail.groups(counts))[0],
            }
            # Whole networks have heads of their own, which are no matter of statistics.
            if recipe.averaged and not recipe.whole and len(features) > 1:
                mean = heads.every_draw(recipe.logits, params)
                figures, _ = scores.score(
                    mean, features[1:], labels, longtail.groups(counts)
                )
                row = {"backbone": "swag", "classifier": classifier, "variant": variant}
                yield {"set": name, **row, **figures}
    if len(view) > 1:
        yield from _dispersions(stored, sets, counts)


def _dispersions(stored, sets, counts):
    """Rank correlations of a class's images with its dispersion, by space."""
    head = heads.none(stored.head)
    for name, (features, labels) in sets.items():
        found = dispersion.per_class(
            partial(head.logits, stored.head), features[1:], labels, len(counts)
        )
        ranks = {
            space: float(spearmanr(counts, values).statistic)
            for space, values in found.items()
        }
        yield {"set": name, "backbone": "swag", "rank_correlation": ranks}


def read(args):
    """The flags of a command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("run", type=Path, help="folder of a finished run, with data.holdout")
    add("--test", type=Path, required=True, help="npz of the official test set")
    add("--out", type=Path, required=True, help="JSON lines, appended")
    add("--samples", type=int, default=4, help="draws of the SWA backbone")
    return parser.parse_args(args)


def main(args=None):
    """Appends what is missing."""
    flags = read(args)
    config = identity.config_of(flags.run)
    if not config.data.holdout or config.data.source != "npz":
        raise Mistake(f"{flags.run} holds out no images of an npz: data.holdout")
    data = load(config.data)
    official = sources.npz(config.data.train, str(flags.test)).test
    known = flags.out.read_text().splitlines() if flags.out.exists() else []
    done = {(line["of"], line["statistics"]) for line in map(json.loads, known)}
    about = {
        "config": config.name,
        "settings": {"depth": config.model.depth, "epochs": config.optim.epochs},
        "holdout": config.data.holdout,
        "samples": flags.samples,
        "commit": versions.commit(),
        "processor": machine.processor(),
    }
    trained_here = [
        name for name in ("sgd", "swa") if (flags.run / "checkpoints" / name).exists()
    ]
    for name in trained_here:
        seen = opened(flags.run, name, config, data, official)
        samples = flags.samples if name == "swa" else 0
        for rule in RULES:
            if (name, rule.name) in done or (name == "swa" and not rule.draws):
                continue
            found = list(lines(seen, rule, samples))
            with flags.out.open("a") as file:
                for line in found:
                    record = {"of": name, "statistics": rule.name, **about, **line}
                    file.write(json.dumps(record) + "\n")
            for line in found:
                if "nll" in line and line["set"] == "held out":
                    row = "/".join((line["backbone"], line["classifier"]))
                    figures = line["acc"]["all"], line["nll"], line["ece"]
                    print(f"{name} {rule.name}: {row}", *figures, flush=True)


if __name__ == "__main__":
    sys.exit(exit_code(main))
