"""Images of another set: does a run know that it does not know them?

Told are how often a test image is surer than a stranger (AUROC), and how many strangers
pass where 95 % of the test images do (FPR95), by every score that tells what to refuse.
"""

from functools import partial

import numpy as np

from ltjax.classifier import heads
from ltjax.data import rendering, unlabelled
from ltjax.data.shape import Shape
from ltjax.evaluation import refusal, scores
from ltjax.mistake import Mistake, shown
from ltjax.stages import backbones, kept, trained
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
    if not len(next(iter(found.values())).label):
        raise Mistake(f"data.strangers: {shown(path)} has no image that can be read")
    told, absent = {}, None
    if run.beside:  # of strangers nothing is known beside them
        absent = kept.features(out, run.backbone, "absent")
    for row in wanted:
        inside, outside = known[row.key].sureness, found[row].sureness
        if absent is not None:
            said = _of_features(_one(run, row), absent, draws)
            inside = Predicted(*said).sureness
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


def _one(run, row):
    """Log probabilities of a row, of the mean's features [1, B, D]."""
    return heads.one_pass(*trained.logits(run, row.classifier, row.variant))


def _of_features(one, features, draws):
    """The fields of `Predicted` of features [M + 1, B, D]."""
    said = list(scores.top_labels(one, features[:1]))
    if draws:
        said.append(scores.per_image(heads.disagreement(one), features[1:]))
    return said


def _said(run, rows, draws, path, how):
    """`Predicted` of the strangers that can be read, by row."""
    features_of = trained.features(run, draws)
    images = unlabelled.read(path, how)
    one = {row: _one(run, row) for row in rows}
    parts = {row: [] for row in rows}
    with unlabelled.batches(images, _BATCH) as batches:
        for batch in batches:
            good = np.array([not problem for problem in batch.problems])
            filled = np.zeros((_BATCH, *batch.image.shape[1:]), np.uint8)
            filled[: len(batch.image)] = batch.image
            features = features_of(filled)
            for row in rows:
                said = _of_features(one[row], features, draws)
                parts[row].append([each[: len(good)][good] for each in said])
    joined = partial(map, np.concatenate)
    return {row: Predicted(*joined(zip(*parts[row]))) for row in rows}
