import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sklearn.linear_model import LogisticRegression

from ltjax.classifier import crt, disalign, linear, logit_adjustment, lws, srepr, train

RNG = np.random.default_rng(4)
LABELS = np.repeat([0, 1, 2], [60, 30, 10])
CENTERS = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]])
POINTS = (CENTERS[LABELS] + RNG.normal(size=(100, 3))).astype(np.float32)
# The mean, then two draws.
FEATURES = np.stack([POINTS, POINTS + 0.1, POINTS - 0.2]).astype(np.float32)
ROWS = np.stack([RNG.permutation(100)[:40].reshape(2, 20) for _ in range(3)])
HEAD = linear.init(jax.random.key(0), 3, 3)
COUNTS = np.bincount(LABELS)

METHODS = {
    "crt": (HEAD, lambda params, z, y: crt.loss(params, z[0], y)),
    "lws": (lws.init(3), lambda params, z, y: lws.loss(params, z[0], y, HEAD)),
    "disalign": (
        disalign.init(3, 3),
        lambda params, z, y: disalign.loss(params, z[0], y, HEAD, COUNTS),
    ),
    "srepr": (
        HEAD,
        lambda params, z, y: srepr.loss(
            params, z[0], z[1:], y, COUNTS, alpha=0.3, temperature=2.0, form="mean"
        ),
    ),
}


def test_an_epoch_equals_a_loop_over_its_batches():
    start, loss = METHODS["srepr"]
    tx = optax.sgd(optax.cosine_decay_schedule(0.5, 2), momentum=0.9)
    found = train.make_epoch(loss, tx)(start, tx.init(start), FEATURES, LABELS, ROWS[0])

    @jax.jit
    def step(params, opt_state, features, labels):
        value, grads = jax.value_and_grad(
            lambda params: loss(params, features, labels).mean()
        )(params)
        updates, opt_state = tx.update(grads, opt_state)
        return optax.apply_updates(params, updates), opt_state, value

    params, opt_state, losses = start, tx.init(start), []
    for rows in ROWS[0]:
        batch = FEATURES[:, rows], LABELS[rows]
        params, opt_state, value = step(params, opt_state, *batch)
        losses.append(value)
    wanted = (params, opt_state, jnp.stack(losses))
    chex.assert_trees_all_close(found, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", METHODS)
def test_all_epochs_are_one_program(name):
    params, loss = METHODS[name]
    chex.clear_trace_counter()
    counted = chex.assert_max_traces(loss, 1)
    seen = []
    trained = train.fit(
        params,
        counted,
        optax.sgd(0.1, momentum=0.9),
        lambda epoch: FEATURES + np.float32(epoch),
        LABELS,
        lambda epoch: ROWS[epoch],
        3,
        lambda epoch, losses, params: seen.append((epoch, losses.shape)),
    )
    assert seen == [(0, (2,)), (1, (2,)), (2, (2,))]
    chex.assert_trees_all_equal_shapes_and_dtypes(trained, params)
    assert not np.array_equal(jax.tree.leaves(trained)[0], jax.tree.leaves(params)[0])


@pytest.mark.parametrize(
    ("name", "at_once"),
    [*((name, 20 * 3 * 3 * 4 * 3) for name in METHODS), ("srepr", 1), ("srepr", 2**20)],
)
def test_features_on_the_host_come_to_the_same_bits(monkeypatch, name, at_once):
    # Seven steps: in parts of two and three, of three and four, and at once.
    monkeypatch.setattr(train, "_AT_ONCE", at_once)
    rows = np.random.default_rng(5).integers(0, 100, (2, 7, 20))
    params, loss = METHODS[name]
    places = {
        "device": jnp.asarray(FEATURES),
        "host": FEATURES,
        # As they lie in a file, one image after the other.
        "file": np.moveaxis(np.ascontiguousarray(np.moveaxis(FEATURES, 0, 1)), 0, 1),
    }

    def fitted(features):
        seen = []
        head = train.fit(
            params,
            loss,
            optax.sgd(optax.cosine_decay_schedule(0.5, 14), momentum=0.9),
            lambda epoch: features,
            LABELS,
            lambda epoch: rows[epoch],
            2,
            lambda epoch, losses, params: seen.append(losses),
        )
        return head, seen

    wanted = fitted(places.pop("device"))
    assert wanted[1][0].shape == (7,)
    for features in places.values():
        chex.assert_trees_all_equal(fitted(features), wanted)


def test_features_in_bfloat16_are_learnt_in_float32():
    half = FEATURES.astype(jnp.bfloat16)
    dtypes = []

    def loss(params, z, y):
        dtypes.append(z.dtype)
        return crt.loss(params, z[0], y)

    def fitted(features):
        tx = optax.sgd(0.5, momentum=0.9)
        return train.fit(
            HEAD, loss, tx, lambda epoch: features, LABELS, lambda epoch: ROWS[0], 1
        )

    wanted = fitted(jnp.asarray(half, jnp.float32))
    for features in (half, jnp.asarray(half)):
        chex.assert_trees_all_equal(fitted(features), wanted)
    assert set(dtypes) == {np.dtype("float32")}


def fitted(loss):
    """A head after full batches of gradient descent to convergence."""
    every = np.broadcast_to(np.arange(100), (400, 100))
    tx = optax.sgd(0.5, momentum=0.9, nesterov=True)
    return train.fit(
        HEAD, loss, tx, lambda epoch: FEATURES[:1], LABELS, lambda epoch: every, 2
    )


@pytest.fixture(scope="module")
def peer():
    # C = inf: no penalty
    return LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(POINTS, LABELS)


def test_equal_counts_reach_the_optimum_of_scikit_learn(peer):
    even = np.full(3, 5)
    head = fitted(lambda params, z, y: logit_adjustment.loss(params, z[0], y, even))
    found = jax.nn.softmax(linear.logits(head, POINTS))
    np.testing.assert_allclose(found, peer.predict_proba(POINTS), atol=1e-3)
    wanted = -np.log(peer.predict_proba(POINTS)[np.arange(100), LABELS]).mean()
    loss = crt.loss(head, POINTS, LABELS).mean()
    np.testing.assert_allclose(loss, wanted, rtol=1e-5)


def test_adjusting_before_and_after_meet_at_the_optimum(peer):
    # A linear head can learn the prior, so that at the optimum the adjusted loss has
    # taken out what post-hoc adjustment takes out of the plain one.
    head = fitted(lambda params, z, y: logit_adjustment.loss(params, z[0], y, COUNTS))
    plain = {"kernel": np.float32(peer.coef_.T), "bias": np.float32(peer.intercept_)}
    posthoc = logit_adjustment.posthoc(plain, POINTS, COUNTS)
    found = jax.nn.softmax(logit_adjustment.logits(head, POINTS))
    np.testing.assert_allclose(found, jax.nn.softmax(posthoc), atol=1e-3)
