"""A row of a finished run, as a function from images to class probabilities."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ltjax.classifier import heads, prior
from ltjax.evaluation import scaling
from ltjax.posterior import dispersion
from ltjax.posterior.predictive import mean_log_probs
from ltjax.stages import kept, trained
from ltjax.stages.trained import Trained
from ltjax.workdir import rows

_BATCH = 1000  # bounds the memory of logits


class Seen(NamedTuple):
    """What a row says about B images."""

    log_probs: jax.Array  # [B, C]
    representation: Any = None  # [B], how far the draws' features disagree
    probability: Any = None  # [B], how far their probabilities do
    place: Any = None  # [B, ...], where the images lie: their features, of one run


class Predictor(NamedTuple):
    """A row with the draws it looks at, under the class prior that was asked for."""

    run: Trained
    samples: int
    log_probs: Callable  # features [samples + 1, B, D] -> [B, C]
    spread: Callable  # features [samples, B, D] of draws -> [B], how far they disagree


def of_row(out, row, samples=0, priors=None):
    """Opens the `Row` of the finished run in `out`.

    It looks at `samples` draws: those that a row of draws averages, and otherwise only
    for dispersions. `priors` are None, or the class prior that the row's probabilities
    assume and the one wanted instead, [C] each (`classifier.prior`). The mixture of
    draws is re-adjusted, not each draw: it is what stands for p(y | x). Dispersions are
    those of the draws' features through one classifier, of whole networks the mean's.

    Raises `Mistake` as `trained.read` does.
    """
    run = trained.read(out, row.backbone)
    averaged = row.backbone != run.backbone
    head, params = trained.head(run, row.classifier, row.variant)
    one, each = heads.one_pass(head.logits, params), None
    if averaged and head.whole:
        each = kept.heads(run.out, run.backbone)
        each = jax.tree.map(lambda leaf: leaf[1 : samples + 1], each)
    every = heads.every_draw(head.logits, params, each)

    own = scaling.of_row(rows.named(run.results)[row])
    one, every = (scaling.calibrated(each, own) for each in (one, every))

    def under(log_probs):
        return log_probs if priors is None else prior.adjusted(log_probs, *priors)

    def log_probs(features):
        return under(every(features[1:]) if averaged else one(features))

    spread = heads.disagreement(lambda features: under(one(features)))
    return Predictor(run, samples, log_probs, spread)


def mean_on_images(predictors):
    """`on_images` of the mean of several predictors' probabilities; of one, its own.

    They are of the same classes. Several have no dispersions.
    """
    each = [on_images(predictor) for predictor in predictors]
    if len(each) == 1:
        return each[0]
    return lambda images: Seen(
        mean_log_probs(jnp.stack([see(images).log_probs for see in each]))
    )


def over_crops(see, count):
    """`see` of `crops` of each image: the mean of their probabilities.

    What else is `Seen` is that of the image as it is. 1: it alone.
    """
    if count == 1:
        return see

    def seen(images):
        batch = images if isinstance(images, dict) else {"image": images}
        first, *others = (
            see({**batch, "image": crop} if isinstance(images, dict) else crop)
            for crop in crops(batch["image"], count)
        )
        each = [one.log_probs for one in (first, *others)]
        return first._replace(log_probs=mean_log_probs(jnp.stack(each)))

    return seen


def crops(images, count):
    """An image's crops, `count` of [B, H, W, ch]: 1, 5, or 10 with their mirrors.

    As it is, and moved to the four corners by a sixteenth of the shorter side, a pixel
    at least; what is uncovered repeats the edge.
    """
    images = np.asarray(images)
    height, width = images.shape[1:3]
    d = max(1, min(height, width) // 16)
    wide = np.pad(images, ((0, 0), (d, d), (d, d), (0, 0)), mode="edge")
    places = [(d, d), (0, 0), (0, 2 * d), (2 * d, 0), (2 * d, 2 * d)][:count]
    found = [wide[:, y : y + height, x : x + width] for y, x in places]
    return found + [crop[:, :, ::-1] for crop in found] * (count == 10)


def on_images(predictor):
    """Builds `see(images uint8 [B, H, W, ch]) -> Seen`, or of a batch with "meta".

    Dispersions are those of the predictor's draws, None without any.
    """
    features_of = trained.features(predictor.run, predictor.samples)

    def see(images):
        features = features_of(images)
        found = predictor.log_probs(features)
        if not predictor.samples:
            return Seen(found, place=features[0])
        draws = features[1:]
        spread = dispersion.representation(draws), predictor.spread(draws)
        return Seen(found, *spread, features[0])

    return see


def mean_on_tests(predictors):
    """`on_tests` of the mean of several predictors' probabilities; of one, its own."""
    each = [on_tests(predictor) for predictor in predictors]
    if len(each) == 1:
        return each[0]
    log_probs, labels = zip(*each)
    return np.asarray(mean_log_probs(np.stack(log_probs))), labels[0]


def on_tests(predictor):
    """log_probs [N, C] of the run's own test images, and their labels [N]."""
    features = trained.test_features(predictor.run)[: predictor.samples + 1]
    parts = [
        predictor.log_probs(features[:, first : first + _BATCH])
        for first in range(0, features.shape[1], _BATCH)
    ]
    return np.concatenate(parts), trained.test_labels(predictor.run)
