"""A row that is chosen: its candidates trained, and judged on held-out images."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from ltjax.classifier import choice as choices
from ltjax.classifier import heads
from ltjax.evaluation import scores
from ltjax.mistake import Mistake
from ltjax.runtime import devices, hosts
from ltjax.stages.features import Features
from ltjax.stages.loader import Loader


class Trials(NamedTuple):
    """What the candidates of a row are trained with, and judged on."""

    row: str  # its key
    learn: Callable  # (head, watch) -> (its parameters, trained, and what is told)
    seen: Features
    loader: Loader
    # A `workdir.cache.Cache`, that of the row's backbone: what was trained is kept, and
    # a run that was stopped goes on with the next one.
    cache: Any


def learned(choice, trials, watch):
    """The parameters of the best candidate of a `method.Choice`, and what is told.

    Each class of the held-out images weighs as much as any other, as in a balanced test
    set. `watch` is not called: losses of several heads are no curve.
    """
    _, bar = _entry("bar", choice.bar, trials)
    found = [
        _entry(f"candidate{number}", each.head, trials)
        for number, each in enumerate(choice.candidates)
    ]
    notes = [note for _, note in found]
    figures = [
        {**each.settings, "nll": note["nll"], "acc": note["acc"]}
        for each, note in zip(choice.candidates, notes)
    ]
    try:
        at = choices.best(*_columns(figures, "nll", "acc"), bar["acc"])
    except ValueError as error:
        raise Mistake(f"{error}; try a smaller --classifier.lr") from error
    # Of several processes all take what the first one takes.
    at = hosts.gathered(at)[0]
    told = {
        **figures[at],
        "bar": {"title": choice.bar_title, "nll": bar["nll"], "acc": bar["acc"]},
        "candidates": figures,
        "images": len(trials.loader.validation["label"]),
        "seconds": sum(note["seconds"] for note in (bar, *notes)),
    }
    return found[at][0], {"choice": told}


def _columns(figures, *names):
    return ([each[name] for each in figures] for name in names)


def _entry(name, head, trials):
    """The parameters of a head, trained now or before, and their figures."""

    def make():
        begin = time.monotonic()
        params, _ = trials.learn(head, lambda *_: None)
        figures = _judged(head, jax.block_until_ready(params), trials)
        told = {**figures, "seconds": time.monotonic() - begin}
        return devices.whole(params), told

    kept = trials.cache.get(f"{trials.row}-{name}", make, lambda: head.params)
    return devices.local(kept[0]), kept[1]


def _judged(head, params, trials):
    loader = trials.loader
    features = trials.seen.validation[:1]
    labels = np.asarray(loader.validation["label"])
    log_probs = heads.one_pass(head.logits, params)
    return scores.balanced(log_probs, features, labels, len(loader.index.counts))
