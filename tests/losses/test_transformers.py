"""The losses of DeiT-LT and of its teacher PaCo against their equations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ltjax import losses

pytestmark = pytest.mark.usefixtures("compiled_once")

RNG = np.random.default_rng(0)
B, C, D, M = 6, 5, 4, 9
COUNTS = np.array([50, 20, 10, 5, 0])
LABELS, OTHER_LABELS = RNG.integers(0, 4, B), RNG.integers(0, 5, M)


def unit(*shape):
    x = RNG.normal(size=shape)
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


LOGITS, DIST = 3 * RNG.normal(size=(2, B, C))
QUERIES, OTHERS = unit(B, D), unit(M, D)
TARGETS = RNG.dirichlet(np.ones(C), B)
WEIGHTS = losses.class_balanced_weights(COUNTS, 0.9999)


def log_softmax(x):
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def test_deit_lt_is_its_equation():
    base = -(TARGETS * log_softmax(LOGITS)).sum(1).mean()
    each = -log_softmax(DIST)[np.arange(B), LABELS]
    for alpha in (0.5, 0.3):
        got = losses.deit_lt(LOGITS, DIST, TARGETS, LABELS, alpha=alpha)
        wanted = (1 - alpha) * base + alpha * each.mean()
        np.testing.assert_allclose(got, wanted, rtol=1e-6)
        own = np.asarray(WEIGHTS, float)[LABELS]
        got = losses.deit_lt(
            LOGITS, DIST, TARGETS, LABELS, weights=WEIGHTS, alpha=alpha
        )
        wanted = (1 - alpha) * base + alpha * (own * each).sum() / own.sum()
        np.testing.assert_allclose(got, wanted, rtol=1e-6)


def test_deit_lt_is_what_pytorch_makes_of_it():
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    cls, dist = (torch.tensor(x, requires_grad=True) for x in (LOGITS, DIST))
    weights = torch.tensor(np.asarray(WEIGHTS, float))
    wanted = 0.5 * functional.cross_entropy(cls, torch.tensor(TARGETS))
    labels = torch.tensor(LABELS)
    wanted = wanted + 0.5 * functional.cross_entropy(dist, labels, weight=weights)
    wanted.backward()

    def loss(cls, dist):
        return losses.deit_lt(cls, dist, TARGETS, LABELS, weights=WEIGHTS)

    arrays = (jnp.asarray(x, jnp.float32) for x in (LOGITS, DIST))
    got, grads = jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))(*arrays)
    np.testing.assert_allclose(got, wanted.item(), rtol=1e-6)
    for grad, peer in zip(grads, (cls, dist)):
        np.testing.assert_allclose(grad, peer.grad.numpy(), atol=1e-6)


def test_weights_that_are_alike_change_nothing():
    plain = losses.deit_lt(LOGITS, DIST, TARGETS, LABELS)
    alike = losses.deit_lt(LOGITS, DIST, TARGETS, LABELS, weights=np.full(C, 3.0))
    np.testing.assert_allclose(alike, plain, rtol=1e-6)


def test_a_teacher_that_names_absent_classes_only_teaches_nothing():
    absent = np.full(B, 4)
    value, grad = jax.value_and_grad(
        lambda dist: losses.deit_lt(LOGITS, dist, TARGETS, absent, weights=WEIGHTS)
    )(jnp.asarray(DIST, jnp.float32))
    assert np.isfinite(value)
    np.testing.assert_array_equal(grad, 0)


CONSTANTS = (
    {"alpha": 0.01, "temperature": 0.05},
    {"alpha": 0.3, "beta": 0.7, "gamma": 2.0, "temperature": 0.5},
)


def paco_in_float64(alpha, temperature, beta=1.0, gamma=1.0):
    prior = np.log(COUNTS / COUNTS.sum() + 1e-9)
    every = np.concatenate([QUERIES, OTHERS])
    labels = np.concatenate([LABELS, OTHER_LABELS])
    found = []
    for i in range(B):
        centres = LOGITS[i] + prior
        rest = [j for j in range(B + M) if j != i]
        pairs = every[rest] @ QUERIES[i] / temperature
        total = np.exp(centres).sum() + gamma * np.exp(pairs).sum()
        alike = labels[rest] == LABELS[i]
        value = beta * (centres[LABELS[i]] - np.log(total))
        value += alpha * (pairs[alike] - np.log(total)).sum()
        found.append(-value / (beta + alpha * alike.sum()))
    return np.array(found)


@pytest.mark.parametrize("constants", CONSTANTS)
def test_paco_is_its_equation(constants):
    args = LOGITS, QUERIES, OTHERS, LABELS, OTHER_LABELS, COUNTS
    got = losses.paco(*args, **constants)
    np.testing.assert_allclose(got, paco_in_float64(**constants), rtol=2e-6)


def test_the_order_of_others_does_not_count():
    order = RNG.permutation(M)
    first = LOGITS, QUERIES, OTHERS, LABELS, OTHER_LABELS, COUNTS
    again = LOGITS, QUERIES, OTHERS[order], LABELS, OTHER_LABELS[order], COUNTS
    got, wanted = (losses.paco(*args, **CONSTANTS[0]) for args in (again, first))
    np.testing.assert_allclose(got, wanted, rtol=1e-6)


def test_without_pairs_paco_is_the_adjusted_cross_entropy():
    args = LOGITS, QUERIES, OTHERS, LABELS, OTHER_LABELS, COUNTS
    got = losses.paco(*args, alpha=0.0, gamma=1e-30, temperature=1.0)
    wanted = losses.logit_adjusted(LOGITS, LABELS, COUNTS)
    np.testing.assert_allclose(got, wanted, rtol=1e-5)


def test_gradients_of_paco_are_finite_at_low_temperatures():
    def loss(logits, queries):
        rest = OTHERS, LABELS, OTHER_LABELS, COUNTS
        return losses.paco(logits, queries, *rest, alpha=0.05, temperature=0.01).sum()

    arrays = (jnp.asarray(x, jnp.float32) for x in (100 * LOGITS, QUERIES))
    for grad in jax.jit(jax.grad(loss, argnums=(0, 1)))(*arrays):
        assert np.isfinite(grad).all()
