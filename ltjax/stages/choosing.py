"""A row that is chosen: its candidates trained, and judged on held-out images."""

import time
from functools import partial

import jax
import numpy as np

from ltjax.classifier import choice as choices
from ltjax.classifier import heads
from ltjax.evaluation import scores
from ltjax.mistake import Mistake
from ltjax.runtime import hosts


def learned(choice, row, learn, seen, loader, cache):
    """The parameters of the best candidate of a `method.Choice`, and what is told.

    `row` is the key of the row. `learn(head, watch)` trains a head. `seen` are the
    `features.Features`; each class of the held-out images weighs as much as any other,
    as in a balanced test set. What was trained lies in the `cache` of the row's
    backbone, so that a run that was stopped goes on with the next one.
    """
    judge = partial(_judged, seen.validation[:1], loader)
    bar = _entry(f"{row}-bar", choice.bar, learn, judge, cache)[1]
    found = [
        _entry(f"{row}-candidate{number}", each.head, learn, judge, cache)
        for number, each in enumerate(choice.candidates)
    ]
    notes = [note for _, note in found]
    try:
        at = choices.best(
            [note["nll"] for note in notes], [note["acc"] for note in notes], bar["acc"]
        )
    except ValueError as error:
        raise Mistake(f"{error}; try a smaller --classifier.lr") from error
    # Of several processes all take what the first one takes.
    at = hosts.gathered(at)[0]
    figures = [
        {**each.settings, "nll": note["nll"], "acc": note["acc"]}
        for each, note in zip(choice.candidates, notes)
    ]
    told = {
        **figures[at],
        "bar": {"classifier": choice.bar_name, "nll": bar["nll"], "acc": bar["acc"]},
        "candidates": figures,
        "images": len(loader.validation["label"]),
        "seconds": sum(note["seconds"] for note in (bar, *notes)),
    }
    return found[at][0], told


def _entry(name, head, learn, judge, cache):
    """The parameters of a head, trained now or before, and its figures."""

    def make():
        begin = time.monotonic()
        params = jax.block_until_ready(learn(head, lambda *_: None))
        figures = judge(head, params)
        return params, {**figures, "seconds": time.monotonic() - begin}

    return cache.get(name, make, lambda: head.params)


def _judged(features, loader, head, params):
    log_probs = heads.one_pass(head.logits, params)
    labels = np.asarray(loader.validation["label"])
    return scores.balanced(log_probs, features, labels, len(loader.index.counts))
