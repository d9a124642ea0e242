"""Inverse image frequency against NumPy and SciPy."""

import jax
import numpy as np
import pytest
from scipy import stats

from ltjax.classifier import iif, linear
from ltjax.losses import (
    cross_entropy,
    frequency_adjusted,
    inverse_image_frequency,
    logit_adjusted,
)
from ltjax.losses.inverse import VARIANTS

RNG = np.random.default_rng(0)
COUNTS = np.array([500, 80, 0, 3])
LABELS = np.array([0, 1, 3, 0, 1])
LOGITS = np.float32(RNG.normal(size=(5, 4)))
EVERY = pytest.mark.parametrize("variant", VARIANTS)


def weights(variant, counts=COUNTS):
    counts = np.float64(counts)
    share, total = np.where(counts > 0, counts, 1) / counts.sum(), counts.sum()
    found = {
        "rel": np.log((total - share * total) / (share * total)),
        "raw": np.log(1 / share),
        "smooth": np.log((total + 1) / (share * total + 1)) + 1,
        "normit": -stats.norm.ppf(share),
        "gombit": -np.log(-np.log(1 - share)),
    }
    return np.where(counts > 0, found[variant], 1e4)


@EVERY
def test_weights(variant):
    found = inverse_image_frequency(COUNTS, variant)
    np.testing.assert_allclose(found, weights(variant), rtol=1e-5, atol=1e-5)
    present = COUNTS > 0
    order = np.argsort(COUNTS[present])
    assert (np.diff(np.asarray(found)[present][order]) < 0).all()
    # All images of one class.
    assert np.isfinite(inverse_image_frequency([5, 0], variant)).all()


@EVERY
def test_the_loss_that_is_added_is_a_cross_entropy(variant):
    found = frequency_adjusted(LOGITS, LABELS, COUNTS, variant)
    wanted = cross_entropy(LOGITS - np.float32(weights(variant)), LABELS)
    np.testing.assert_allclose(found, wanted, rtol=1e-4)
    slopes = jax.grad(lambda x: frequency_adjusted(x, LABELS, COUNTS, variant).sum())(
        LOGITS
    )
    assert np.isfinite(slopes).all()
    assert not slopes[:, 2].any()  # of the class without images
    even = np.full(4, 7)
    np.testing.assert_allclose(
        frequency_adjusted(LOGITS, LABELS, even, variant),
        cross_entropy(LOGITS, LABELS),
        rtol=1e-5,
    )


@EVERY
def test_the_loss_that_is_multiplied(variant):
    found = frequency_adjusted(LOGITS, LABELS, COUNTS, variant, form="multiplied")
    factor = np.where(COUNTS > 0, weights(variant), 0)
    wanted = cross_entropy(np.float32(LOGITS * factor), LABELS)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_raw_is_logit_adjustment():
    np.testing.assert_allclose(
        frequency_adjusted(LOGITS, LABELS, COUNTS, "raw"),
        logit_adjusted(LOGITS, LABELS, COUNTS),
        rtol=1e-5,
    )


@EVERY
def test_the_row_raises_rare_classes_and_lowers_an_absent_one(variant):
    head = {"kernel": LOGITS.T @ LOGITS, "bias": LOGITS[0]}
    features = np.float32(RNG.normal(size=(6, 4)))
    shift = np.where(COUNTS > 0, weights(variant), -1e4)
    np.testing.assert_allclose(
        iif.logits(head, features, COUNTS, variant),
        np.asarray(linear.logits(head, features)) + shift,
        rtol=1e-4,
        atol=1e-3,
    )


def test_what_there_is_not_is_refused():
    with pytest.raises(
        ValueError, match="variant is 'base2', not rel or raw or smooth"
    ):
        inverse_image_frequency(COUNTS, "base2")
    with pytest.raises(ValueError, match="form is 'divided', not 'added' or"):
        frequency_adjusted(LOGITS, LABELS, COUNTS, form="divided")
