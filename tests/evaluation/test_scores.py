"""Figures that are made batch by batch, beside those of all images at once."""

import jax
import numpy as np
import pytest

from ltjax.classifier import heads, linear
from ltjax.data import longtail
from ltjax.evaluation import scores
from ltjax.posterior import dispersion

RNG = np.random.default_rng(0)
MEMBERS, IMAGES, DIM, CLASSES = 3, 2300, 8, 5  # two whole batches and a part
HEAD = {
    "kernel": RNG.normal(size=(DIM, CLASSES)).astype(np.float32),
    "bias": RNG.normal(size=CLASSES).astype(np.float32),
}
FEATURES = (
    RNG.normal(size=(1, IMAGES, DIM)) + 0.3 * RNG.normal(size=(MEMBERS, IMAGES, DIM))
).astype(np.float32)
LABELS = RNG.choice([0, 1, 2, 4], IMAGES)  # of one class none


def softmax(logits):
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def spread(values):
    return ((values - values.mean(0)) ** 2).sum(-1).mean(0)


@pytest.mark.parametrize("place", [np.asarray, jax.numpy.asarray])
def test_dispersions_are_those_of_all_images_at_once(place):
    shapes = []

    def logits(features):
        shapes.append(features.shape)
        return linear.logits(HEAD, features)

    found = dispersion.per_class(logits, place(FEATURES), LABELS, CLASSES)
    z = FEATURES.astype(np.float64)
    probs = softmax(z @ HEAD["kernel"].astype(np.float64) + HEAD["bias"])
    wanted = {
        "representation": spread(z),
        "relative": spread(z) / (z.mean(0) ** 2).sum(-1),
        "probability": spread(probs),
    }
    assert found.keys() == wanted.keys()
    for name, values in wanted.items():
        assert found[name][3] is None
        for label in (0, 1, 2, 4):
            mean = values[label == LABELS].mean()
            assert found[name][label] == pytest.approx(mean, rel=2e-5)
    # Never all images: what is formed of them all is one number each.
    assert set(shapes) == {(MEMBERS, 1000, DIM)}


def test_a_row_is_the_same_of_arrays_of_the_host_and_of_the_device():
    log_probs = heads.one_pass(linear.logits, HEAD)
    counts = np.bincount(LABELS, minlength=CLASSES)
    rows = [
        scores.score(log_probs, place(FEATURES[:1]), LABELS, longtail.groups(counts))
        for place in (np.asarray, jax.numpy.asarray)
    ]
    assert rows[0] == rows[1]
