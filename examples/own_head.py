"""A classifier of your own on a finished run: all of it is in this file.

    python examples/own_head.py --config configs/digits_lt.py

takes the command line of `ltjax.main`, finishes that run if it is not finished, opens
what it kept of the SWA backbone, trains a new head on its features as the run trains
its own, and prints its row beside the run's.

The method is LDAM (Cao et al., NeurIPS 2019, arXiv:1906.07413) on frozen features: a
cosine classifier whose margins are the wider the rarer the class. A method is three
pure functions, `init`, `logits` and `loss`, and a `Head` that says how they are used.
"""

import sys

import jax
import jax.numpy as jnp

from ltjax import main, run
from ltjax.classifier import heads
from ltjax.classifier.heads import Head
from ltjax.data import longtail
from ltjax.evaluation import scores
from ltjax.losses import ldam
from ltjax.runtime.command import exit_code
from ltjax.stages import loading, trained

SCALE = 10.0


def init(key, dim, classes):
    """Directions of the classes, columns of a matrix [D, C]."""
    return {"kernel": jax.random.normal(key, (dim, classes))}


def cosines(params, features):
    """Cosines [B, C] of features [B, D] with the directions of the classes."""
    return unit(features, -1) @ unit(params["kernel"], 0)


def unit(x, axis):
    """x over its norms along the axis; a vector of zeros stays one."""
    return x / jnp.maximum(jnp.linalg.norm(x, axis=axis, keepdims=True), 1e-6)


def logits(params, features):
    """Logits [B, C] of features [B, D]: no margin at test."""
    return SCALE * cosines(params, features)


def loss(params, features, labels, counts):
    """Loss per example [B] of features [B, D], labels [B] and counts [C]."""
    return ldam(cosines(params, features), labels, counts, scale=SCALE)


def row_of(out, config, data):
    """The row's figures, as `results.json` has them: accuracies, nll, ece, brier."""
    stored = trained.held(out, "swa", config, data)
    dim, classes = stored.head["kernel"].shape
    counts = stored.index.counts
    head = Head(
        params=init(jax.random.clone(stored.keys.head), dim, classes),
        logits=logits,
        # Member 0 is the mean; `draws=True` would give the draws too.
        loss=lambda params, z, y: loss(params, z[0], y, counts),
        sampling="class",
    )
    params = trained.refit(stored, head, config.classifier, trained.views(stored))
    figures, _ = scores.score(
        heads.one_pass(logits, params),
        stored.test[:1],
        data.test.label,
        longtail.groups(counts),
    )
    return figures


def compare(args):
    """Runs the command line, trains the head, prints its row and the run's."""
    config, out, _ = main.read(args)
    results = run.run(config, out)
    ours = row_of(out, config, loading.load(config.data))
    theirs = [row for row in results["rows"] if row["backbone"] == "swa"]
    print(f"{'on the SWA backbone':22}{'few':>8}{'all':>8}{'NLL':>8}{'ECE':>8}")
    for row in [*theirs, {**ours, "classifier": "ldam", "variant": "this file"}]:
        name = " ".join(filter(None, (row["classifier"], row["variant"])))
        acc = [row["acc"][group] for group in ("few", "all")]
        shown = "".join(f"{'-' if a is None else round(a, 2):>8}" for a in acc)
        print(f"{name:22}{shown}{row['nll']:8.3f}{row['ece']:8.3f}")
    return ours


if __name__ == "__main__":
    sys.exit(exit_code(lambda: compare(sys.argv[1:])))
