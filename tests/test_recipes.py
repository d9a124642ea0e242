"""Rows of a network of several experts: each classifier is that of the expert alone."""

import functools
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ltjax import recipes
from ltjax.classifier import ncm, train
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
    means = recipes.class_means(FEATURES[0], LABELS, CLASSES)
    return recipes.of_classifiers(
        SETTINGS, jax.random.key(0), HEAD, means, COUNTS, has_draws=True
    )


@functools.cache
def alone(expert):
    """The recipes of one expert's features and head, made as of an ordinary network."""
    means = ncm.init(FEATURES[0, :, expert], LABELS, CLASSES)
    return recipes.of_classifiers(
        SETTINGS, jax.random.key(0), at(HEAD, expert), means, COUNTS, has_draws=True
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
        together = fitted(recipe, recipe.params, FEATURES)
        for expert in range(EXPERTS):
            start = at(recipe.params, expert)
            own = fitted(alone(expert)[name], start, FEATURES[:, :, expert])
            jax.tree.map(
                lambda found, wanted, expert=expert: np.testing.assert_allclose(
                    found[expert], wanted, rtol=1e-5, atol=1e-6
                ),
                together,
                own,
            )


@pytest.fixture(scope="module")
def together():
    """As `made`, of classifiers that learn together."""
    means = recipes.class_means(FEATURES[0], LABELS, CLASSES)
    settings = replace(SETTINGS, experts="together")
    return recipes.of_classifiers(
        settings, jax.random.key(0), HEAD, means, COUNTS, has_draws=True
    )


def test_together_linear_classifiers_have_the_loss_of_their_mean(together):
    z = np.float64(FEATURES[0])
    params = jax.tree.map(np.asarray, together["crt", ""].params)
    each = np.einsum("ned,edc->nec", z, params["kernel"]) + params["bias"]
    mean = each.mean(1)
    log_probs = mean - np.log(np.exp(mean).sum(-1, keepdims=True))
    wanted = -EXPERTS * log_probs[np.arange(N), LABELS]
    found = together["crt", ""].loss(params, FEATURES[:1], LABELS)
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    adjusted = mean + np.log(COUNTS / N)
    log_probs = adjusted - np.log(np.exp(adjusted).sum(-1, keepdims=True))
    wanted = -EXPERTS * log_probs[np.arange(N), LABELS]
    found = together["la", ""].loss(params, FEATURES[:1], LABELS)
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


def test_the_error_of_one_expert_moves_the_others_only_together(made, together):
    """An expert far from the labels changes how all learn."""
    params = made["la", ""].params
    worse = jax.tree.map(lambda leaf: leaf.at[1].multiply(-3), params)

    def first(recipe, params):
        def loss(params):
            return recipe.loss(params, FEATURES[:1], LABELS).mean()

        return jax.grad(loss)(params)["kernel"][0]

    alone_, all_ = made["la", ""], together["la", ""]
    np.testing.assert_array_equal(first(alone_, params), first(alone_, worse))
    assert np.abs(first(all_, params) - first(all_, worse)).max() > 1e-3


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


def test_no_retraining_takes_any_leading_axes():
    recipe = recipes.none(HEAD)
    found = recipe.logits(HEAD, FEATURES)
    products = np.einsum("mned,edc->mnec", np.float64(FEATURES), HEAD["kernel"])
    wanted = (products + HEAD["bias"]).mean(2)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)
