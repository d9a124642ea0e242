"""A finished run, opened: what it learned, for new images, and with its own data."""

import dataclasses
import functools
import itertools
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from ltjax.classifier import NONE
from ltjax.classifier.heads import class_means, of_methods
from ltjax.config import Config
from ltjax.data import sampling
from ltjax.data.dataset import Dataset
from ltjax.data.sampling import ClassIndex
from ltjax.evaluation import scaling
from ltjax.mistake import Mistake
from ltjax.models import partition
from ltjax.models.network import Network
from ltjax.posterior import members as extractors
from ltjax.posterior import point as points
from ltjax.posterior.members import Members
from ltjax.stages import backbones, bank, classifier, kept, keys, reopened
from ltjax.stages import start as starts
from ltjax.workdir import adoption, checkpoint, identity, rows
from ltjax.workdir import results as results_of
from ltjax.workdir.rows import Row


class Trained(NamedTuple):
    """What a run keeps of one backbone; member 0 is the mean, the others are draws."""

    out: Path
    config: Config
    results: dict  # of results.json
    backbone: str  # its name
    net: Network
    fixed: dict  # weights that did not move, as in `system.System`
    prepare: Callable  # images or a batch -> what the network takes, see `reopened`
    weights: Any  # the posterior, with `mean`
    members: Members
    batch_stats: dict  # [M + 1, ...]
    # With its data, of `held`: what classifiers are trained on, and tested.
    data: Dataset | None = None
    index: ClassIndex | None = None
    head: dict | None = None  # the linear classifier of stage one
    plain: jax.Array | None = None  # [N, D], training images under the mean weights
    test: jax.Array | None = None  # [M + 1, N, D]
    beside: tuple = ()  # `meta.Part`s of the metadata that the network takes

    @property
    def counts(self):
        """Training images per class, int [C]."""
        return np.asarray(self.results["dataset"]["counts"])

    @property
    def model(self):
        """The record of the network, which takes metadata if any were given."""
        widths = [part.width for part in self.beside]
        classes = self.results["dataset"]["classes"]
        return starts.beside(self.config.model, classes, tuple(widths))

    @property
    def keys(self):
        """The streams of the run's randomness."""
        return keys.keys(self.config.seed)


def read(out, name="swa", dtype=None):
    """Opens the backbone of the rows `name` of the finished run in `out`.

    `dtype` is the compute type, "float32" or "bfloat16"; None: the run's own. Raises
    `Mistake` for a run that is not finished, or not whole.
    """
    out = Path(out)
    results, config = results_of.record(out)
    if dtype:
        model = config.model.computed_in(dtype)
        config = dataclasses.replace(config, model=model)
    data = results["dataset"]
    opened = reopened.network(out, config, data)

    # In NumPy arrays: the device may be too small for the deviations.
    backbone = backbones.of_row(config, name)
    saved = checkpoint.load_as_saved(kept.newest(out, backbone.name))
    return Trained(
        out=out,
        config=config,
        results=results,
        backbone=backbone.name,
        net=partition.bound(opened.start.net, opened.fixed),
        fixed=opened.fixed,
        prepare=opened.prepare,
        weights=backbone.restore(*saved),
        members=extractors.make(
            keys.keys(config.seed).members, backbone.draws, config.posterior.scale
        ),
        batch_stats=kept.batch_stats(out, backbone.name),
        beside=opened.parts,
    )


def held(out, name, config, data):
    """The backbone `name` of the finished run in `out`, with its data.

    `config` may have other classifiers than the run's. Raises `Mistake` for what is not
    there, or comes from another backbone.
    """
    run = read(out, name)
    difference = adoption.backbone_difference(out, identity.of_run(config, data))
    if difference:
        raise Mistake(f"{out} holds another run: {difference}")
    return run._replace(
        config=config,
        data=data,
        index=sampling.class_index(data.train.label, data.classes),
        head=params(run, NONE),
        plain=kept.features(out, run.backbone, "plain")[0],
        test=test_features(run),
    )


def features(run, samples=0):
    """Builds `features(images uint8 [B, H, W, ch]) -> [samples + 1, B, D]`, compiled.

    Of a network that takes metadata it takes a batch {"image", "meta" [B, K]}, too;
    images alone are as if nothing were known. Under the mean weights, then `samples`
    draws, at most as many as the run has.
    """
    posterior = run.config.posterior
    # Without draws the device need not have room for deviations.
    sample, weights = points.sample, points.init(point(run))
    if samples:
        backbone = backbones.of_row(run.config, run.backbone)
        sample, weights = backbone.sample, run.weights
    weights = jax.device_put(weights)
    draw = extractors.features_of(extractors.whole(sample))
    compute = extractors.make_features(
        draw, run.net, run.prepare, posterior.batch_size, posterior.chunk
    )
    first = partial(jax.tree.map, lambda leaf: leaf[: samples + 1])
    members, stats = first(run.members), first(run.batch_stats)
    return partial(jax.jit(compute), weights, members, stats)


def point(run):
    """The parameters of a run's single network: the mean, or the last of SGD."""
    return run.weights.mean


def test_features(run):
    """The features [M + 1, N, D] of the test images, as the run saw them."""
    return kept.features(run.out, run.backbone, "test")


def test_labels(run):
    """The labels [N] of the test images."""
    with np.load(run.out / "labels.npz", allow_pickle=False) as file:
        return file["test"]


def test_groups(run):
    """Which test images belong together, int [N], or None of a run without groups."""
    with np.load(run.out / "labels.npz", allow_pickle=False) as file:
        return file.get("group")


def params(run, classifier, variant=""):
    """The parameters of a row, as the run trained them."""
    row = Row(run.backbone, classifier, variant).key
    return kept.head(run.out, run.backbone, row)


def logits(run, name, variant=""):
    """`logits(params, features [B, D]) -> [B, C]` of a row's classifier, and `params`.

    Those of a calibrated row are scaled, so that their softmax is what it predicts.
    Raises `Mistake` for a row that the run does not have.
    """
    made, learned = head(run, name, variant)
    row = rows.named(run.results)[Row(run.backbone, name, variant)]
    scaled = scaling.of_row(row)
    if scaled is None:
        return made.logits, learned
    return lambda params, features: scaled(made.logits(params, features)), learned


def head(run, name, variant=""):
    """The `heads.Head` of a row's classifier, and the parameters it was trained to.

    Raises `Mistake` for a row that the run does not have.
    """
    known = {
        (row["classifier"], row["variant"])
        for row in run.results["rows"]
        if row["backbone"] == run.backbone
    }
    if (name, variant) not in known:
        listed = ", ".join(sorted("/".join(filter(None, row)) for row in known))
        wanted = "/".join(filter(None, (name, variant)))
        raise Mistake(
            f"{run.out} has no classifier {wanted} of {run.backbone}; it has {listed}"
        )
    made = of_methods(
        run.config.classifier,
        run.keys.head,
        params(run, NONE),
        None,  # what NCM learned is read below
        run.counts,
        draws=len(run.members.scale) > 1,
    )
    # A headline of several variants is kept under its own name among them.
    (own,) = (
        other
        for (method, other), head in made.items()
        if method == name and variant in head.variants
    )
    return made[name, own], params(run, name, own)


def heads(run, settings):
    """The `Head`s of a backbone's rows under `settings`, a `classifier` config.

    What a row of the run was chosen to be, it is.
    """
    every = of_methods(
        settings,
        run.keys.head,
        run.head,
        class_means(settings, run.plain, run.data.train.label, run.data.classes),
        run.index.counts,
        draws=len(run.test) > 1,
    )
    return {row: _as_chosen(run, row[0], head) for row, head in every.items()}


def _as_chosen(run, classifier, head):
    """The candidate that the run has taken for the row of a head, if it took one."""
    if head.choice is None:
        return head
    row = Row(run.backbone, classifier)
    told = rows.named(run.results).get(row, {}).get("choice", {})
    for each in head.choice.candidates:
        if each.settings.items() <= told.items():
            return each.head._replace(variants=head.variants, averaged=head.averaged)
    raise Mistake(f"{run.out} has chosen no {row} of those that there are now")


def refit(run, head, settings, view, watch=lambda *_: None):
    """The head's parameters, trained again as a run of `settings` trains them.

    `view` and `watch` are those of `classifier.fit`.
    """
    return classifier.fit(
        head,
        settings,
        run.keys.head_order,
        view,
        run.data.train.label,
        jax.jit(classifier.batches_of(head.sampling, settings, run.index)),
        watch,
    )


def views(run):
    """`view(epoch, draws)` of the kept views in turn, as `features.Features.view`.

    Features [M + 1, N, D], or [1, N, D] without draws. Raises `Mistake` where none is
    kept.
    """
    names = (f"view{number}" for number in itertools.count())
    place = bank.folder(run.out, run.backbone)
    # An earlier version had them in the checkpoint.
    known = {file.stem for file in place.glob("*.npy")}
    known |= checkpoint.names(kept.newest(run.out, f"features/{run.backbone}"))
    known_views = list(itertools.takewhile(known.__contains__, names))
    if not known_views:
        raise Mistake(f"{place} keeps no views; classifier.views must not be None")

    @functools.cache
    def seen(name):
        return kept.features(run.out, run.backbone, name)

    def view(epoch, draws):
        found = seen(known_views[epoch % len(known_views)])
        return found if draws else found[:1]

    return view
