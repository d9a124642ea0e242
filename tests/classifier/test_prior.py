"""Which prior a loss leaves behind, and Bayes' rule with another."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ltjax.classifier import METHODS, crt, logit_adjustment, prior, srepr
from ltjax.data import sampling
from ltjax.losses import cross_entropy

COUNTS = np.array([60, 12, 3])
# Of 4 kinds of images: how often a class looks like each.
LIKELIHOOD = np.array(
    [[0.5, 0.2, 0.1], [0.3, 0.4, 0.1], [0.1, 0.2, 0.5], [0.1, 0.2, 0.3]]
)


def posterior(shares):
    joint = LIKELIHOOD * np.asarray(shares)
    return joint / joint.sum(1, keepdims=True)


def slope(loss, shares, classes_as):
    """The gradient of the expected `loss(head, features, labels)` where the head gives
    the posterior under `shares`; classes are sampled as `classes_as` says."""
    head = {
        "kernel": jnp.asarray(np.log(posterior(shares)), jnp.float32),
        "bias": jnp.zeros(3),
    }
    image, label = (jnp.asarray(x.ravel()) for x in np.indices(LIKELIHOOD.shape))
    weight = jnp.asarray((LIKELIHOOD * classes_as).ravel(), jnp.float32)
    features = jax.nn.one_hot(image, 4)

    def expected(kernel):
        values = loss({**head, "kernel": kernel}, features, label)
        return (weight * values).sum()

    return float(jnp.abs(jax.grad(expected)(head["kernel"])).max())


def plain(head, z, y):
    return crt.loss(head, z, y)


def lowered(tau):
    """The loss of a plain classifier, of what LA post-hoc makes lower."""

    def loss(head, z, y):
        shift = tau * np.log(COUNTS / COUNTS.sum())
        return cross_entropy(z @ head["kernel"] + shift[None], y)

    return loss


def adjusted(tau):
    return lambda head, z, y: logit_adjustment.loss(head, z, y, COUNTS, tau)


def distilled(tau, form):
    def loss(head, z, y):
        members = jnp.stack([z, z])
        settings = {"alpha": 0.4, "temperature": 2.0, "form": form, "tau": tau}
        return srepr.loss(head, z, members, y, COUNTS, **settings)

    return loss


def even(power):
    return np.asarray(sampling.power(COUNTS, power))


@pytest.mark.parametrize(
    ("method", "settings", "loss", "sampled"),
    [
        ("none", {}, plain, even(1)),
        ("none", {"sampling": "class"}, plain, even(0)),
        ("none", {"sampling": "square_root"}, plain, even(0.5)),
        ("crt", {}, plain, even(0)),
        ("la", {}, adjusted(1.0), even(1)),
        ("la", {"tau": 0.4}, adjusted(0.4), even(1)),
        ("la_posthoc", {}, lowered(1.0), even(1)),
        ("la_posthoc", {"tau": 1.5}, lowered(1.5), even(1)),
        ("la_posthoc", {"sampling": "class"}, lowered(1.0), even(0)),
        ("srepr", {}, distilled(1.0, "mean"), even(1)),
        ("srepr", {"tau": 0.7, "sampling": "class"}, distilled(0.7, "mean"), even(1)),
    ],
)
def test_the_assumed_prior_is_that_of_the_minimum(method, settings, loss, sampled):
    shares = prior.assumed(method, COUNTS, **settings)
    assert shares.sum() == pytest.approx(1)
    assert slope(loss, shares, sampled) < 1e-6
    # And of no other: any share moved by a tenth is no minimum.
    assert slope(loss, shares * [1.1, 1, 1], sampled) > 1e-3


def test_every_row_is_known():
    without = {"lws", "disalign", "tau_norm", "ncm", "iif"}
    for method in ("none", *METHODS):
        assert (prior.assumed(method, COUNTS) is None) == (method in without)


def test_sampling_that_changes_has_no_one_prior():
    for method in ("none", "la_posthoc"):
        assert prior.assumed(method, COUNTS, sampling="progressive") is None
    for method in ("la", "crt"):
        assert prior.assumed(method, COUNTS, sampling="progressive") is not None


@pytest.mark.parametrize("method", ["none", "la", "la_posthoc", "srepr", "crt"])
def test_a_class_without_images_is_assumed_never_to_come(method):
    shares = prior.assumed(method, [10, 0, 30])
    assert shares[1] == 0
    assert (shares[[0, 2]] > 0).all()


def test_uniform_at_full_strength():
    for method in ("la", "la_posthoc", "srepr", "crt"):
        np.testing.assert_allclose(prior.assumed(method, COUNTS), 1 / 3)
    np.testing.assert_allclose(prior.assumed("none", COUNTS), COUNTS / 75)


def test_bayes_rule():
    old, new = np.array([0.7, 0.2, 0.1]), np.array([0.1, 0.3, 0.6])
    found = prior.adjusted(np.log(posterior(old)), old, new)
    np.testing.assert_allclose(np.exp(found), posterior(new), rtol=1e-5)


def test_laws():
    rng = np.random.default_rng(0)
    log_probs = jax.nn.log_softmax(jnp.asarray(rng.normal(size=(5, 3)), jnp.float32))
    a, b = rng.dirichlet(np.ones(3), 2)
    same = prior.adjusted(log_probs, a, a)
    np.testing.assert_array_equal(same, jax.nn.log_softmax(log_probs))
    there = prior.adjusted(log_probs, a, b)
    np.testing.assert_allclose(prior.adjusted(there, b, a), log_probs, atol=1e-5)
    # Only proportions matter.
    np.testing.assert_allclose(
        prior.adjusted(log_probs, 7 * a, 2 * b), there, atol=1e-6
    )


@pytest.mark.parametrize("counts", [COUNTS, np.array([60, 0, 3])])
def test_a_plain_classifier_under_the_uniform_prior_is_la_post_hoc(counts):
    rng = np.random.default_rng(0)
    head = {"kernel": rng.normal(size=(4, 3)), "bias": rng.normal(size=3)}
    head = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), head)
    z = jnp.asarray(rng.normal(size=(6, 4)), jnp.float32)
    plain = jax.nn.log_softmax(crt.logits(head, z))
    found = prior.adjusted(plain, prior.assumed("none", counts), np.ones(3) / 3)
    wanted = jax.nn.log_softmax(logit_adjustment.posthoc(head, z, counts))
    np.testing.assert_allclose(np.exp(found), np.exp(wanted), atol=1e-6)
    # And back, with the training images' prior.
    back = prior.adjusted(wanted, prior.assumed("la_posthoc", counts), counts / 75)
    seen = np.where(counts > 0, np.exp(plain), 0)
    seen = seen / seen.sum(1, keepdims=True)
    np.testing.assert_allclose(np.exp(back), seen, atol=1e-6)


def test_a_class_that_never_comes_has_probability_zero():
    log_probs = np.log(posterior([0.5, 0.3, 0.2]))
    for old, new in (
        ([0.5, 0.3, 0.2], [0.4, 0.6, 0]),
        ([0.6, 0.4, 0], [0.2, 0.4, 0.4]),
    ):
        found = prior.adjusted(log_probs, old, new)
        assert jnp.isfinite(found).all()
        assert (np.exp(found)[:, 2] == 0).all()
        np.testing.assert_allclose(np.exp(found).sum(1), 1, rtol=1e-6)


@pytest.mark.parametrize(
    ("method", "settings", "words"),
    [
        ("none", {}, "the training images' shares of the classes"),
        ("srepr", {}, "equal shares of the classes"),
        ("la", {"tau": 0.4}, "shares of the classes that its settings give"),
        ("lws", {}, "no known shares of the classes"),
    ],
)
def test_a_prior_in_words(method, settings, words):
    counts = np.array([50, 20, 0, 5])
    shares = prior.assumed(method, counts, **settings)
    assert prior.in_words(shares, counts) == words
    if shares is not None:
        words += ", as far as its draws agree"
    assert prior.in_words(shares, counts, drawn=True) == words


def test_another_loss_of_stage_one_leaves_nothing_known_of_its_own_classifier():
    assert prior.assumed("none", COUNTS, plain=False) is None
    assert prior.assumed("la_posthoc", COUNTS, plain=False) is None
    assert prior.assumed("la", COUNTS, plain=False) is not None
