"""Images of another set: does a run know that it does not know them?

Told are how often a test image is surer than a stranger (AUROC), and how many strangers
pass where 95 % of the test images do (FPR95), by every score that tells what to refuse.
"""

from functools import partial

import jax
import numpy as np

from ltjax.classifier import heads
from ltjax.data import rendering, unlabelled
from ltjax.data.shape import Shape
from ltjax.evaluation import refusal, scores
from ltjax.mistake import Mistake, shown
from ltjax.stages import backbones, trained
from ltjax.workdir import predictions
from ltjax.workdir.predictions import Predicted
from ltjax.workdir.results import record
from ltjax.workdir.rows import named

_BATCH = 256


def shape(image, config):
    """The `shape.Shape` of new images of a run, whose own have the shape `image`."""
    seen = rendering.of_words(config.data.background, config.data.range)
    return Shape(*image, config.augment.crop_area, seen)


def check(config, image):
    """Refuses a `data.strangers` that holds no images, or of other channels."""
    if config.data.strangers is None:
        return
    try:
        unlabelled.read(config.data.strangers, shape(image, config))
    except Mistake as mistake:
        raise Mistake(f"data.strangers: {mistake}") from mistake


def judged(out, path, console):
    """What `results.json` says of the strangers in `path`, of the finished run `out`.

    {"path", "images", "rows": {a row that is looked at closely: {score: {"auroc",
    "fpr95"}}}}, or None where no row is.
    """
    results, config = record(out)
    known = predictions.read(out)
    if not known:
        return None
    table = {row.key: row for row in named(results)}
    wanted = [table[name] for name in known]
    run = trained.read(out, wanted[0].backbone)
    draws = backbones.of_row(config, wanted[0].backbone).draws
    found = _said(run, wanted, draws, path, shape(results["dataset"]["image"], config))
    told = {}
    for row in wanted:
        inside, outside = known[row.key].sureness, found[row].sureness
        told[row.key] = {
            score: _apart(inside[score], outside[score])
            for score in inside
            if score in outside
        }
    images = len(next(iter(found.values())).label)
    console.print(f"{images:,} strangers of {shown(path)}, judged", soft_wrap=True)
    return {"path": str(path), "images": images, "rows": told}


def _apart(inside, outside):
    score = np.concatenate([inside, outside])
    ours = np.arange(len(score)) < len(inside)
    return {
        "auroc": refusal.auroc(score, ours),
        "fpr95": refusal.false_positives(score, ours),
    }


def _said(run, rows, draws, path, how):
    """`Predicted` of the strangers that can be read, by row."""
    features_of = trained.features(run, draws)
    images = unlabelled.read(path, how)
    one = {}
    for row in rows:
        logits, params = trained.logits(run, row.classifier, row.variant)
        one[row] = heads.one_pass(logits, params)
    spread = {row: jax.jit(heads.disagreement(one[row])) for row in rows}
    parts = {row: [] for row in rows}
    with unlabelled.batches(images, _BATCH) as batches:
        for batch in batches:
            good = np.array([not problem for problem in batch.problems])
            filled = np.zeros((_BATCH, *batch.image.shape[1:]), np.uint8)
            filled[: len(batch.image)] = batch.image
            features = features_of(filled)
            for row in rows:
                said = list(scores.top_labels(one[row], features[:1]))
                if draws:
                    said.append(np.asarray(spread[row](features[1:])))
                parts[row].append([each[: len(good)][good] for each in said])
    joined = partial(map, np.concatenate)
    return {row: Predicted(*joined(zip(*parts[row]))) for row in rows}
