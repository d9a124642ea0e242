"""Rows of a network of several experts: each classifier is that of the expert alone."""

import functools
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ltjax.classifier import heads, ncm, train
from ltjax.config import Classifier, Srepr

pytestmark = pytest.mark.usefixtures("compiled_once")

RNG = np.random.default_rng(0)
EXPERTS, CLASSES, DIM = 2, 3, 5
COUNTS = np.array([12, 5, 3])
LABELS = np.repeat(np.arange(CLASSES), COUNTS)
N = len(LABELS)
FEATURES = RNG.normal(size=(3, N, EXPERTS, DIM)).astype(np.float32)  # mean, 2 draws
FEATURES += np.eye(CLASSES, DIM)[LABELS][None, :, None].astype(np.float32)
HEAD = {
    "kernel": RNG.normal(size=(EXPERTS, DIM, CLASSES)).astype(np.float32),
    "bias": RNG.normal(size=(EXPERTS, CLASSES)).astype(np.float32),
}
SETTINGS = Classifier(srepr=Srepr(head="stage_one"))


def at(tree, expert):
    return jax.tree.map(lambda leaf: leaf[expert], tree)


@pytest.fixture(scope="module")
def made():
    means = heads.class_means(SETTINGS, FEATURES[0], LABELS, CLASSES)
    return heads.of_methods(
        SETTINGS, jax.random.key(0), HEAD, means, COUNTS, draws=True
    )


@functools.cache
def alone(expert):
    """The recipes of one expert's features and head, made as of an ordinary network."""
    means = ncm.init(FEATURES[0, :, expert], LABELS, CLASSES)
    return heads.of_methods(
        SETTINGS, jax.random.key(0), at(HEAD, expert), means, COUNTS, draws=True
    )


def test_rows_are_those_of_an_ordinary_network(made):
    one = alone(0)
    assert made.keys() == one.keys()
    for name, recipe in made.items():
        assert len(recipe.experts) == EXPERTS
        assert (recipe.loss is None) == (one[name].loss is None)
        assert recipe[3:7] == one[name][3:7]


def test_logits_are_the_mean_over_experts(made):
    for name, recipe in made.items():
        wanted = np.mean(
            [
                alone(expert)[name].logits(
                    at(recipe.params, expert), FEATURES[0, :, expert]
                )
                for expert in range(EXPERTS)
            ],
            axis=0,
        )
        found = recipe.logits(recipe.params, FEATURES[0])
        assert found.shape == (N, CLASSES)
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


def test_new_heads_of_experts_differ(made):
    kernel = made["la", ""].params["kernel"]
    assert kernel.shape == (EXPERTS, DIM, CLASSES)
    assert np.abs(kernel[0] - kernel[1]).max() > 0.1


def test_every_classifier_learns_as_it_would_alone(made):
    """Of a sum over experts, each one's gradient is its own."""
    rows = jnp.arange(N).reshape(2, -1)
    tx = optax.chain(optax.add_decayed_weights(1e-2), optax.sgd(0.1, momentum=0.9))

    def fitted(recipe, params, features):
        return train.fit(
            params, recipe.loss, tx, lambda epoch: features, LABELS, lambda _: rows, 2
        )

    # One that holds on to the frozen head, and one that sees all draws.
    for name in (("disalign", ""), ("srepr", "c-mean")):
        recipe = made[name]
        at_once = fitted(recipe, recipe.params, FEATURES)
        for expert in range(EXPERTS):
            start = at(recipe.params, expert)
            own = fitted(alone(expert)[name], start, FEATURES[:, :, expert])
            jax.tree.map(
                lambda found, wanted, expert=expert: np.testing.assert_allclose(
                    found[expert], wanted, rtol=1e-5, atol=1e-6
                ),
                at_once,
                own,
            )


@pytest.fixture(scope="module")
def together():
    """As `made`, of classifiers that learn together."""
    means = heads.class_means(SETTINGS, FEATURES[0], LABELS, CLASSES)
    settings = replace(SETTINGS, experts="together")
    return heads.of_methods(
        settings, jax.random.key(0), HEAD, means, COUNTS, draws=True
    )


@pytest.mark.parametrize(("name", "shift"), [("crt", 0), ("la", np.log(COUNTS / N))])
def test_together_the_loss_is_that_of_the_mean_logits(together, name, shift):
    recipe = together[name, ""]
    params = jax.tree.map(np.asarray, recipe.params)
    each = np.einsum("ned,edc->nec", np.float64(FEATURES[0]), params["kernel"])
    mean = (each + params["bias"]).mean(1) + shift
    log_probs = mean - np.log(np.exp(mean).sum(-1, keepdims=True))
    wanted = -EXPERTS * log_probs[np.arange(N), LABELS]
    found = recipe.loss(params, FEATURES[:1], LABELS)
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


@pytest.mark.parametrize("name", [("la", ""), ("srepr", "b"), ("srepr", "c-mean")])
def test_experts_that_agree_learn_together_as_alone(made, together, name):
    features = np.repeat(FEATURES[:, :, :1], EXPERTS, 2)
    params = jax.tree.map(
        lambda leaf: jnp.repeat(leaf[:1], EXPERTS, 0), made[name].params
    )

    def gradient(recipe):
        return jax.grad(lambda p: recipe.loss(p, features, LABELS).mean())(params)

    jax.tree.map(
        lambda found, wanted: np.testing.assert_allclose(
            found, wanted, rtol=1e-4, atol=1e-6
        ),
        gradient(together[name]),
        gradient(made[name]),
    )


def test_together_nothing_else_changes(made, together):
    assert made.keys() == together.keys()
    for name, recipe in together.items():
        before = made[name]
        assert len(recipe.experts) == EXPERTS
        np.testing.assert_array_equal(
            recipe.logits(recipe.params, FEATURES[0]),
            before.logits(before.params, FEATURES[0]),
        )
    for name in ("lws", "disalign"):  # of scales, which are no linear classifier's
        np.testing.assert_array_equal(
            together[name, ""].loss(together[name, ""].params, FEATURES[:1], LABELS),
            made[name, ""].loss(made[name, ""].params, FEATURES[:1], LABELS),
        )


def test_class_means_are_made_for_ncm_only():
    settings = replace(SETTINGS, methods=("la", "tau_norm"))
    assert heads.class_means(settings, FEATURES[0], LABELS, CLASSES) is None


@pytest.mark.parametrize("experts", ["alone", "together"])
def test_a_finished_run_brings_no_class_means(experts):
    settings = Classifier(methods=("ncm", "la"), experts=experts)
    args = settings, jax.random.key(0), HEAD, None, COUNTS
    assert heads.of_methods(*args, draws=True)["ncm", ""].params is None


def test_no_retraining_takes_any_leading_axes():
    recipe = heads.none(HEAD)
    found = recipe.logits(HEAD, FEATURES)
    products = np.einsum("mned,edc->mnec", np.float64(FEATURES), HEAD["kernel"])
    wanted = (products + HEAD["bias"]).mean(2)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)
