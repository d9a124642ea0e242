"""Which methods assume a prior: held against Gaussian classes, not against the rule.

Where a loss chooses an intercept for each class freely, the mean probability of a class
at its minimum is the class's share of what was fitted, whatever the features. Classes
are normal distributions on a grid, so that sums are exact. Those alike in width have a
posterior that is a linear classifier's, under any prior; of unlike ones none is right.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ltjax.classifier import disalign, heads, linear, prior
from ltjax.config import Classifier
from ltjax.losses import cross_entropy
from ltjax.models.heads import Cosine

pytestmark = pytest.mark.usefixtures("compiled_once")

COUNTS = np.array([120, 25, 8])
SHARES, EVEN = COUNTS / COUNTS.sum(), np.ones(3) / 3
ELSEWHERE = np.array([0.1, 0.2, 0.7])
IMAGES = np.stack(np.meshgrid(*[np.linspace(-5, 5, 15)] * 2), -1).reshape(-1, 2) / 2
CENTRES = np.array([[0.0, 0.0], [0.8, 0.2], [0.1, 0.9]])
ALIKE, UNLIKE = (0.5, 0.5, 0.5), (0.5, 0.25, 0.8)
MADE = "none", "crt", "la_posthoc", "la", "srepr"


def of_normals(widths):
    """p(x | y) [N, C]."""
    square = ((IMAGES[:, None] - CENTRES) ** 2).sum(-1) / np.square(widths)
    return np.exp(-square / 2) / np.exp(-square / 2).sum(0)


def fit(loss, params, features, joint, decay=0.0):
    """Where the mean gradient of `loss(params, features [M, B, ...], labels)` is zero.

    `features` [M, N, ...]; `joint` [N, C] is how often an image comes with a label.
    """
    labels = jnp.tile(jnp.arange(joint.shape[1]), len(joint))
    features = jnp.repeat(jnp.asarray(features, jnp.float32), joint.shape[1], axis=1)
    often = jnp.asarray(joint.ravel(), jnp.float32)
    tx = optax.sgd(0.2, momentum=0.95, nesterov=True)

    def mean(params):
        squares = sum((leaf**2).sum() for leaf in jax.tree.leaves(params))
        return (often * loss(params, features, labels)).sum() + decay / 2 * squares

    def step(carry, _):
        params, state = carry
        updates, state = tx.update(jax.grad(mean)(params), state)
        return (optax.apply_updates(params, updates), state), None

    @jax.jit
    def descend(params):
        (params, _), _ = jax.lax.scan(step, (params, tx.init(params)), length=3000)
        return params, jax.grad(mean)(params)

    params, left = descend(params)
    assert all(abs(leaf).max() < 1e-5 for leaf in jax.tree.leaves(left))
    return params


def plain(params, z, labels):
    return cross_entropy(linear.logits(params, z[0]), labels)


def stage_one(likelihood):
    zeros = {"kernel": jnp.zeros((2, 3)), "bias": jnp.zeros(3)}
    return fit(plain, zeros, IMAGES[None], likelihood * SHARES)


def fitted(widths, methods, head=None, features=None):
    """For each classifier its log probabilities of features, and the shares it saw."""
    likelihood = of_normals(widths)
    head = head or stage_one(likelihood)
    if features is None:
        features = np.stack([IMAGES] * 3)
    made = heads.of_methods(
        Classifier(methods=methods), jax.random.key(0), head, None, COUNTS, True
    )
    found = {"head": head}
    for (method, _), recipe in made.items():
        if method in found:  # another variant
            continue
        shares = EVEN if recipe.sampling == "class" else SHARES
        params = recipe.params
        if recipe.loss:
            params = fit(recipe.loss, params, features, likelihood * shares)

        def log_probs(z, recipe=recipe, params=params):
            z = jnp.asarray(z, jnp.float32)
            return np.asarray(jax.nn.log_softmax(recipe.logits(params, z)))

        found[method] = log_probs, shares
    return found


def mean_probability(log_probs, likelihood, shares):
    """Of each class, over images of classes that come in these shares."""
    return (likelihood * shares).sum(1) @ np.exp(log_probs)


@pytest.fixture(scope="module")
def alike():
    return fitted(ALIKE, ("crt", "lws", "la_posthoc", "la", "srepr"))


@pytest.fixture(scope="module")
def unlike():
    return fitted(UNLIKE, ("crt", "la_posthoc", "la"))


def from_truth(log_probs, assumed):
    """How far probabilities are, re-adjusted, from the posterior elsewhere."""
    joint = of_normals(ALIKE) * ELSEWHERE
    found = np.exp(prior.adjusted(log_probs, assumed, ELSEWHERE))
    truth = joint / joint.sum(1, keepdims=True)
    return joint.sum(1) @ np.abs(found - truth).sum(1) / 2


@pytest.mark.parametrize("method", MADE)
def test_where_the_posterior_is_linear_it_is_found_under_another_prior(alike, method):
    log_probs = alike[method][0](IMAGES)
    assumed = prior.assumed(method, COUNTS)
    assert from_truth(log_probs, assumed) < 2e-3
    even = prior.adjusted(log_probs, assumed, EVEN)
    mean = mean_probability(even, of_normals(ALIKE), EVEN)
    np.testing.assert_allclose(mean, EVEN, atol=1e-3)


def test_a_scale_for_each_class_finds_it_under_none(alike):
    log_probs, shares = alike["lws"]
    np.testing.assert_array_equal(shares, EVEN)  # it was trained on even classes
    mean = mean_probability(log_probs(IMAGES), of_normals(ALIKE), EVEN)
    assert np.ptp(mean) > 0.05
    for other in (EVEN, SHARES):
        assert from_truth(log_probs(IMAGES), other) > 0.05
    assert prior.assumed("lws", COUNTS) is None


@pytest.mark.parametrize("method", ["none", "crt", "la_posthoc", "la"])
def test_the_mean_probability_is_the_share_whatever_the_features(unlike, method):
    log_probs, shares = unlike[method]
    assumed = prior.assumed(method, COUNTS)
    seen = prior.adjusted(log_probs(IMAGES), assumed, shares)
    mean = mean_probability(seen, of_normals(UNLIKE), shares)
    np.testing.assert_allclose(mean, shares, atol=2e-4)


def test_weight_decay_holds_it_back_by_itself_times_the_intercept():
    decay, likelihood = 0.03, of_normals(UNLIKE)
    params = {"kernel": jnp.zeros((2, 3)), "bias": jnp.zeros(3)}
    params = fit(plain, params, IMAGES[None], likelihood * SHARES, decay)
    log_probs = jax.nn.log_softmax(linear.logits(params, jnp.float32(IMAGES)))
    mean = mean_probability(log_probs, likelihood, SHARES)
    np.testing.assert_allclose(SHARES - mean, decay * params["bias"], atol=2e-4)
    assert abs(SHARES - mean).max() > 0.01


def test_with_draws_it_is_off_at_most_in_the_square_of_how_far_they_disagree(unlike):
    shift = np.random.default_rng(0).normal(size=IMAGES.shape)
    head, la = unlike["head"], unlike["la"][0]

    def off(far):
        """Of SRepr, and of LA on every draw, their mean."""
        features = np.stack([IMAGES, IMAGES + far * shift, IMAGES - far * shift])
        srepr = fitted(UNLIKE, ("srepr",), head, features)["srepr"][0](IMAGES)
        mixture = np.log(np.mean([np.exp(la(z)) for z in features[1:]], 0))
        seen = [prior.adjusted(one, EVEN, SHARES) for one in (srepr, mixture)]
        means = [mean_probability(one, of_normals(UNLIKE), SHARES) for one in seen]
        return abs(np.array(means) - SHARES).max(1)

    near, far = off(0.1), off(0.2)
    assert (far > 3 * near).all()
    assert (far < 0.005).all()


def test_what_disalign_assumes_depends_on_the_size_of_its_batches():
    # In batches of one image its weights, divided by their mean, are 1.
    head = {"kernel": np.log(of_normals(ALIKE)), "bias": np.zeros(3)}
    head = jax.tree.map(jnp.float32, head)
    image, label = (jnp.asarray(x.ravel()) for x in np.indices((len(IMAGES), 3)))
    features = jax.nn.one_hot(image, len(IMAGES))
    often = jnp.asarray((of_normals(ALIKE) * SHARES).ravel(), jnp.float32)

    def slope(power, size_is_one):
        shift = jnp.asarray(np.log(SHARES**power), jnp.float32)
        posterior = {**head, "bias": shift}

        def loss(beta):
            params = {**disalign.init(len(IMAGES), 3), "beta": beta}
            one = (params, features, label, posterior, COUNTS, 1.2)
            if not size_is_one:
                return (often * disalign.loss(*one)).sum()

            def alone(z, y):
                return disalign.loss(params, z[None], y[None], posterior, COUNTS)[0]

            return (often * jax.vmap(alone)(features, label)).sum()

        return float(jnp.abs(jax.jit(jax.grad(loss))(jnp.zeros(3))).max())

    assert slope(1.0, True) < 1e-4 < 1e-2 < slope(-0.2, True)
    assert slope(-0.2, False) < 1e-4 < 1e-2 < slope(1.0, False)
    assert prior.assumed("disalign", COUNTS) is None


def test_a_cosine_head_has_no_intercepts():
    likelihood, head = of_normals(UNLIKE), Cosine(3, scale=4.0)
    params = head.init(jax.random.key(0), jnp.float32(IMAGES))

    def loss(params, z, labels):
        return cross_entropy(head.apply(params, z[0]), labels)

    params = fit(loss, params, IMAGES[None], likelihood * SHARES)
    log_probs = jax.nn.log_softmax(head.apply(params, jnp.float32(IMAGES)))
    mean = mean_probability(log_probs, likelihood, SHARES)
    assert abs(mean - SHARES).max() > 0.01


@pytest.mark.parametrize("learn", ["together", "alone"])
def test_experts_that_learned_one_by_one_have_no_intercepts_of_their_mean(learn):
    likelihood = of_normals(ALIKE)
    # Each of two experts sees one of an image's two numbers.
    features = np.stack([IMAGES[:, :1], IMAGES[:, 1:]], axis=1)
    head = {"kernel": jnp.zeros((2, 1, 3)), "bias": jnp.zeros((2, 3))}
    made = heads.of_methods(
        Classifier(methods=("la",), experts=learn),
        *(jax.random.key(0), head, {}, COUNTS, False),
    )
    recipe = made["la", ""]
    params = fit(recipe.loss, recipe.params, features[None], likelihood * SHARES)
    logits = recipe.logits(params, jnp.float32(features))
    seen = prior.adjusted(jax.nn.log_softmax(logits), EVEN, SHARES)
    off = abs(mean_probability(seen, likelihood, SHARES) - SHARES).max()
    assert off < 5e-4 if learn == "together" else off > 0.01
