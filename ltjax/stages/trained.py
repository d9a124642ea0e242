"""A finished run, opened again: its features and its classifiers."""

import functools
import itertools
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp

from ltjax.classifier.heads import class_means, of_methods
from ltjax.config import Config
from ltjax.data import sampling
from ltjax.data.dataset import Dataset
from ltjax.data.sampling import ClassIndex
from ltjax.mistake import Mistake
from ltjax.stages import bank, classifier
from ltjax.stages import keys as streams
from ltjax.stages.keys import Keys
from ltjax.workdir import adoption, checkpoint, feature_file, identity
from ltjax.workdir.rows import Row


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
    difference = adoption.backbone_difference(out, identity.of_run(config, data))
    if difference:
        raise Mistake(f"{out} holds another run: {difference}")
    return Backbone(
        out=out,
        name=name,
        config=config,
        data=data,
        index=sampling.class_index(data.train.label, data.classes),
        keys=streams.keys(config.seed),
        head=head(out, name, Row(name, "none").key),
        plain=features(out, name, "plain")[0],
        test=features(out, name, "test"),
    )


def recipes(stored, settings):
    """The recipes of the backbone's rows under `settings`, a `classifier` config."""
    return of_methods(
        settings,
        stored.keys.head,
        stored.head,
        class_means(
            settings, stored.plain, stored.data.train.label, stored.data.classes
        ),
        stored.index.counts,
        draws=len(stored.test) > 1,
    )


def params(stored, classifier, variant):
    """The parameters of a row, as the run trained them."""
    return head(stored.out, stored.name, Row(stored.name, classifier, variant).key)


def fit(stored, recipe, settings, view, watch=lambda *_: None):
    """The recipe's parameters, trained again as a run of `settings` trains them.

    `view` and `watch` are those of `classifier.fit`.
    """
    return classifier.fit(
        recipe,
        settings,
        stored.keys.head_order,
        view,
        stored.data.train.label,
        jax.jit(classifier.batches_of(recipe.sampling, settings, stored.index)),
        watch,
    )


def views(stored):
    """`view(epoch, draws)` of the kept views in turn, as `features.Features.view`.

    Features [M + 1, N, D], or [1, N, D] without draws. Raises `Mistake` where none is
    kept.
    """
    names = (f"view{number}" for number in itertools.count())
    place = bank.folder(stored.out, stored.name)
    # An earlier version had them in the checkpoint.
    known = {file.stem for file in place.glob("*.npy")}
    known |= checkpoint.names(newest(stored.out, f"features/{stored.name}"))
    kept = list(itertools.takewhile(known.__contains__, names))
    if not kept:
        raise Mistake(f"{place} keeps no views; classifier.views must not be None")

    @functools.cache
    def seen(name):
        return features(stored.out, stored.name, name)

    def view(epoch, draws):
        found = seen(kept[epoch % len(kept)])
        return found if draws else found[:1]

    return view


def features(out, name, what):
    """What the run in `out` keeps of the backbone `name`.

    "plain" [1, N, D], "test" [M + 1, N, D], "view0", ...: on the device, or mapped from
    its file where there is no room for it.
    """
    file = feature_file.file_of(bank.folder(out, name), what)
    if not feature_file.there(file):
        return _entry(newest(out, f"features/{name}"), what)
    _refuse(file, feature_file.damage(file), out)
    return bank.placed(file)


def batch_stats(out, name):
    """The batch-norm statistics [M + 1, ...] that the run keeps of the backbone."""
    return _entry(newest(out, f"features/{name}"), "batch_stats")


def heads(out):
    """Every member's own stage-one head, [M + 1, ...], of the SWA backbone."""
    place = newest(out, "features/swa")
    if "heads" not in checkpoint.names(place):
        raise Mistake(
            f"{place} has no heads of the draws: an earlier version wrote it; delete "
            f"{out / 'results.json'}, and its command with --accept-changes makes them"
        )
    return _entry(place, "heads")


def head(out, name, row):
    """The parameters of a row of the backbone `name`."""
    return _entry(newest(out, f"heads/{name}"), row)


def newest(out, stage):
    """The checkpoint that the run in `out` keeps of a stage, "swa" or "heads/swa".

    Raises `Mistake` where there is none, or it is damaged.
    """
    folder = out / "checkpoints" / stage
    places = checkpoint.steps(folder)
    if not places:
        raise Mistake(f"{folder} has nothing; finish the run first")
    _refuse(places[0], _damage(places[0], _state(places[0])), out)
    return places[0]


def _refuse(place, wrong, out):
    if wrong:
        raise Mistake(
            f"{place} cannot be used: {wrong}; delete {out / 'results.json'}, and its "
            "command makes it again"
        )


@functools.lru_cache
def _damage(place, state):
    """`checkpoint.damage`: files are read whole once, not for every entry of them."""
    return checkpoint.damage(place)


def _state(place):
    """What changes when a file below `place` does."""
    stats = ((str(file), file.stat()) for file in sorted(place.rglob("*")))
    return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats)


def _entry(place, name):
    if name not in checkpoint.names(place):
        raise Mistake(f"{place} has no {name}; finish the run first")
    return jax.tree.map(jnp.asarray, checkpoint.load_as_saved(place, [name])[name])
