"""A finished run, opened again: its features and its classifiers."""

import functools
from pathlib import Path
from typing import NamedTuple

import jax

from ltjax import adoption, checkpoint, retraining, streams
from ltjax.classifier import ncm
from ltjax.config import Config
from ltjax.data import order
from ltjax.data.dataset import Dataset
from ltjax.data.order import ClassIndex
from ltjax.mistake import Mistake
from ltjax.recipes import label, of_classifiers
from ltjax.streams import Keys


class Backbone(NamedTuple):
    """What a run keeps of one backbone; member 0 is the mean, the others are draws."""

    out: Path
    name: str
    config: Config
    data: Dataset
    index: ClassIndex
    keys: Keys
    head: dict  # the linear classifier of stage one
    plain: jax.Array  # [N, D], training images under the mean weights
    test: jax.Array  # [M + 1, N, D]


def backbone(out, name, config, data):
    """Opens what the finished run of `config` in `out` keeps of the backbone `name`.

    Raises `Mistake` for what is not there, or comes from another backbone.
    """
    difference = adoption.backbone_difference(out, config, data)
    if difference:
        raise Mistake(f"{out} holds another run: {difference}")
    return Backbone(
        out=out,
        name=name,
        config=config,
        data=data,
        index=order.class_index(data.train.label, data.classes),
        keys=streams.keys(config.seed),
        head=saved(out / "checkpoints" / "heads" / f"{name}-none"),
        plain=_features(out, name, "plain")[0],
        test=_features(out, name, "test"),
    )


def recipes(stored, settings):
    """The recipes of the backbone's rows under `settings`, a `classifier` config."""
    return of_classifiers(
        settings,
        stored.keys.head,
        stored.head,
        ncm.init(stored.plain, stored.data.train.label, stored.data.classes),
        stored.index.counts,
        has_draws=len(stored.test) > 1,
    )


def params(stored, classifier, variant):
    """The parameters of a row, as the run trained them."""
    return saved(place(stored, classifier, variant))


def place(stored, classifier, variant):
    """Where the run keeps the parameters of a row, and its figures as their note."""
    row = label(stored.name, classifier, variant)
    return stored.out / "checkpoints" / "heads" / row


def fit(stored, recipe, settings, view, watch=lambda *_: None):
    """The recipe's parameters, trained again as a run of `settings` trains them.

    `view` and `watch` are those of `retraining.fit`.
    """
    return retraining.fit(
        recipe,
        settings,
        stored.keys.head_order,
        view,
        stored.data.train.label,
        jax.jit(retraining.batches_of(recipe.sampling, settings, stored.index)),
        watch,
    )


def views(stored):
    """`view(epoch, draws)` of the kept views in turn, as `looks.Looks.view`.

    Features [M + 1, N, D], or [1, N, D] without draws. Raises `Mistake` where none is
    kept.
    """
    features = stored.out / "checkpoints" / "features" / stored.name
    count = len(list(features.glob("view*")))
    if not count:
        raise Mistake(f"{features} keeps no views; classifier.views must not be None")

    @functools.cache
    def kept(number):
        return _features(stored.out, stored.name, f"view{number}")

    def view(epoch, draws):
        seen = kept(epoch % count)
        return seen if draws else seen[:1]

    return view


def _features(out, name, what):
    return saved(out / "checkpoints" / "features" / name / what)


def saved(path):
    """The tree kept at `path`; raises `Mistake` where it is not there or damaged."""
    if not path.exists():
        raise Mistake(f"{path} does not exist; finish the run first")
    wrong = checkpoint.damage(path)
    if wrong:
        raise Mistake(f"{path} cannot be used: {wrong}; run its command again")
    return checkpoint.load_as_saved(path)
