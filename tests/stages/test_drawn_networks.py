"""The row SWAG is the mean of whole networks, each drawn with its own head."""

import jax
import numpy as np
import pytest

from ltjax.posterior import swag
from ltjax.predict import predictor
from ltjax.stages import kept, trained
from ltjax.stages.loading import load
from ltjax.workdir.rows import Row, named

pytestmark = pytest.mark.usefixtures("compiled_once")


def networks(place):
    """Log probabilities [M, N, C] of the drawn whole networks on the test images.

    Each is applied as the network that was trained is, head and all.
    """
    opened = trained.read(place.out)
    images = opened.prepare(load(place.config.data).test.image)
    apply, found = jax.jit(opened.net.apply), []
    of = opened.members.key, opened.members.scale, opened.batch_stats
    for number in range(1, len(opened.members.scale)):
        key, scale, stats = jax.tree.map(lambda leaf, at=number: leaf[at], of)
        params = jax.jit(swag.sample)(key, opened.weights, scale)
        variables = {"params": params, "batch_stats": {"features": stats}}
        found.append(jax.nn.log_softmax(apply(variables, images)))
    return np.asarray(found, np.float64)


def test_the_row_is_the_mean_of_the_drawn_networks(place):
    drawn, labels = networks(place), load(place.config.data).test.label
    mean = np.exp(drawn).mean(0)
    row = named(place.results)[Row("swag", "none")]
    at = np.arange(len(labels)), labels
    assert row["nll"] == pytest.approx(-np.log(mean[at]).mean(), rel=1e-4)
    accuracy = 100 * (mean.argmax(1) == labels).mean()
    assert row["acc"]["all"] == pytest.approx(accuracy)
    # Through the one head of the mean weights it is another.
    opened = trained.read(place.out)
    logits, head = trained.logits(opened, "none")
    z = trained.test_features(opened)[1:]
    others = [np.exp(jax.nn.log_softmax(logits(head, one))) for one in z]
    assert abs(row["nll"] + np.log(np.mean(others, 0)[at]).mean()) > 1e-3


def test_a_prediction_is_that_of_the_row(place):
    images = load(place.config.data).test.image
    opened = predictor.of_row(place.out, Row("swag", "none"), samples=2)
    mean = np.exp(networks(place)).mean(0)
    seen = predictor.on_images(opened)(images)
    np.testing.assert_allclose(np.exp(seen.log_probs), mean, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(
        np.exp(predictor.on_tests(opened)[0]), mean, rtol=1e-3, atol=1e-6
    )


def test_the_mean_has_the_head_of_the_mean(place):
    heads = kept.heads(place.out, "swa")
    (own,) = {len(leaf) for leaf in jax.tree.leaves(heads)}
    assert own == place.config.posterior.samples + 1
    head = trained.logits(trained.read(place.out), "none")[1]
    for name, leaf in heads.items():
        np.testing.assert_array_equal(leaf[0], head[name])
        assert (np.asarray(leaf[1]) != leaf[2]).all()
