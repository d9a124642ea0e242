"""Laws that every re-trained classifier obeys, and the simple ones against NumPy."""

from functools import partial

import chex
import jax
import numpy as np
import pytest
from scipy.special import log_softmax

from ltjax.classifier import (
    crt,
    disalign,
    linear,
    logit_adjustment,
    lws,
    srepr,
    tau_norm,
)

RNG = np.random.default_rng(0)
COUNTS = np.array([90, 0, 25, 4])
LABELS = np.array([0, 0, 2, 3, 0, 2])
HEAD = {"kernel": RNG.normal(size=(5, 4)), "bias": RNG.normal(size=4)}
FEATURES = RNG.normal(size=(3, 6, 5)).astype(np.float32)  # the mean and two draws
PER_CLASS = ("kernel", "bias", "scale", "alpha", "beta")  # class axis last


def single(tree):
    return jax.tree.map(np.float32, tree)


def double(tree):
    return jax.tree.map(np.float64, tree)


HEAD = single(HEAD)
SCALE = single({"scale": RNG.uniform(0.5, 2, 4)})
ALIGNMENT = single(
    {
        "alpha": RNG.uniform(0.5, 2, 4),
        "beta": RNG.normal(size=4),
        "v": RNG.normal(size=5),
        "c": RNG.normal(),
    }
)


def _srepr(form, params, z, y, counts, head):
    settings = {"alpha": 0.4, "temperature": 2.0, "form": form}
    return srepr.loss(params, z[0], z[1:], y, counts, **settings)


# name: (params, logits(params, features, head), loss(params, z, labels, counts, head))
METHODS = {
    "crt": (
        HEAD,
        lambda params, z, head: crt.logits(params, z),
        lambda params, z, y, counts, head: crt.loss(params, z[0], y),
    ),
    "lws": (
        SCALE,
        lws.logits,
        lambda params, z, y, counts, head: lws.loss(params, z[0], y, head),
    ),
    "la": (
        HEAD,
        lambda params, z, head: logit_adjustment.logits(params, z),
        lambda params, z, y, counts, head: logit_adjustment.loss(
            params, z[0], y, counts, 1.5
        ),
    ),
    "disalign": (
        ALIGNMENT,
        disalign.logits,
        lambda params, z, y, counts, head: disalign.loss(params, z[0], y, head, counts),
    ),
    "srepr-mean": (
        HEAD,
        lambda params, z, head: srepr.logits(params, z),
        partial(_srepr, "mean"),
    ),
    "srepr-dirichlet": (
        HEAD,
        lambda params, z, head: srepr.logits(params, z),
        partial(_srepr, "dirichlet"),
    ),
}


def evaluation(loss):
    """Losses [B] and the gradient of their mean, compiled."""

    def objective(params, *args):
        values = loss(params, *args)
        return values.mean(), values

    gradient = jax.jit(jax.grad(objective, has_aux=True))
    return lambda *args: gradient(*args)[::-1]


METHODS = {name: (*rest, evaluation(loss)) for name, (*rest, loss) in METHODS.items()}


@pytest.fixture(params=METHODS)
def method(request):
    return METHODS[request.param]


def reordered(tree, order):
    return {
        name: leaf[..., order] if name in PER_CLASS else leaf
        for name, leaf in tree.items()
    }


def raw_logits(features=FEATURES[0]):
    head = double(HEAD)
    return features.astype(np.float64) @ head["kernel"] + head["bias"]


def cross_entropy(logits):
    return -log_softmax(logits, -1)[np.arange(len(LABELS)), LABELS]


def test_a_new_order_of_the_classes_changes_nothing_else(method):
    params, logits, evaluate = method
    order = np.array([2, 0, 3, 1])  # new class j was class order[j]
    moved, head = reordered(params, order), reordered(HEAD, order)
    labels, counts = np.argsort(order)[LABELS], COUNTS[order]
    np.testing.assert_allclose(
        logits(moved, FEATURES[0], head),
        np.asarray(logits(params, FEATURES[0], HEAD))[:, order],
        rtol=1e-6,
    )
    losses, gradient = evaluate(params, FEATURES, LABELS, COUNTS, HEAD)
    assert losses.shape == LABELS.shape
    chex.assert_trees_all_close(
        evaluate(moved, FEATURES, labels, counts, head),
        (losses, reordered(gradient, order)),
        rtol=1e-4,
        atol=1e-6,
    )


def test_a_class_without_images_leaves_loss_and_gradient_finite(method):
    params, _, evaluate = method
    losses, gradient = evaluate(params, FEATURES, LABELS, COUNTS, HEAD)
    chex.assert_tree_all_finite((losses, gradient))
    assert any(np.any(leaf) for leaf in jax.tree.leaves(gradient))


@pytest.mark.parametrize("name", ["la", "srepr-mean", "srepr-dirichlet"])
def test_an_adjusted_loss_does_not_move_an_absent_class(name):
    params, _, evaluate = METHODS[name]
    _, gradient = evaluate(params, FEATURES, LABELS, COUNTS, HEAD)
    absent = np.flatnonzero(COUNTS == 0)
    assert not np.asarray(gradient["kernel"])[:, absent].any()
    assert not np.asarray(gradient["bias"])[absent].any()


def test_crt_matches_numpy():
    np.testing.assert_allclose(
        crt.loss(HEAD, FEATURES[0], LABELS), cross_entropy(raw_logits()), rtol=1e-5
    )


def test_lws_matches_numpy():
    wanted = raw_logits() * double(SCALE)["scale"]  # the bias is scaled too
    found = lws.logits(SCALE, FEATURES[0], HEAD)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
    found = lws.loss(SCALE, FEATURES[0], LABELS, HEAD)
    np.testing.assert_allclose(found, cross_entropy(wanted), rtol=1e-5)


def test_lws_begins_at_stage_one():
    np.testing.assert_array_equal(
        lws.logits(lws.init(4), FEATURES[0], HEAD), linear.logits(HEAD, FEATURES[0])
    )


@pytest.mark.parametrize("tau", [0.0, 0.5, 1.0, 2.0])
def test_tau_norm_matches_numpy(tau):
    kernel = double(HEAD)["kernel"]
    scaled = kernel / np.sqrt((kernel**2).sum(0)) ** tau
    for z in (FEATURES, FEATURES[0]):
        found = tau_norm.logits(tau_norm.init(HEAD, tau), z)
        np.testing.assert_allclose(found, z @ scaled, rtol=1e-5, atol=1e-6)


def test_tau_norm_at_its_named_exponents():
    plain = tau_norm.init(HEAD, 0.0)
    np.testing.assert_array_equal(plain["kernel"], HEAD["kernel"])
    unit = tau_norm.init(HEAD)
    lengths = np.linalg.norm(np.asarray(unit["kernel"]), axis=0)
    np.testing.assert_allclose(lengths, 1, rtol=1e-6)
    empty = {**HEAD, "kernel": HEAD["kernel"] * np.float32([1, 0, 1, 1])}
    assert not np.asarray(tau_norm.init(empty)["kernel"])[:, 1].any()


@pytest.mark.parametrize("tau", [0.0, 1.0, 1.5])
def test_logit_adjustment_matches_numpy(tau):
    present = COUNTS > 0
    prior = np.log(np.where(present, COUNTS, 1) / COUNTS.sum())
    adjusted = np.where(present, raw_logits() + tau * prior, -1e4 * tau + raw_logits())
    found = logit_adjustment.loss(HEAD, FEATURES[0], LABELS, COUNTS, tau)
    np.testing.assert_allclose(found, cross_entropy(adjusted), rtol=1e-5)

    shifted = np.where(present, raw_logits() - tau * prior, -1e4 * tau + raw_logits())
    found = logit_adjustment.posthoc(HEAD, FEATURES[0], COUNTS, tau)
    np.testing.assert_allclose(found, shifted, rtol=1e-5, atol=1e-6)


def test_posthoc_raises_the_tail_and_lowers_what_is_absent():
    plain = np.asarray(linear.logits(HEAD, FEATURES[0]))
    moves = np.asarray(logit_adjustment.posthoc(HEAD, FEATURES[0], COUNTS)) - plain
    head, absent, medium, tail = moves.T
    assert (tail > medium).all()
    assert (medium > head).all()
    assert (absent < -1e3).all()
    assert 1 not in (plain + moves).argmax(1)


def test_equal_counts_adjust_nothing():
    even = np.full(4, 7)
    np.testing.assert_allclose(
        logit_adjustment.loss(HEAD, FEATURES[0], LABELS, even),
        crt.loss(HEAD, FEATURES[0], LABELS),
        rtol=1e-5,
    )
