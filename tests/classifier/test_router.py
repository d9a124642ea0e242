"""The router against NumPy: sizes, requests, targets, loss."""

from functools import partial

import jax
import numpy as np
import pytest
from scipy.special import expit

from ltjax.classifier import router

RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(9, 4, 5)).astype(np.float32)
LOGITS = RNG.normal(size=(9, 4, 6)).astype(np.float32)
LABELS = RNG.integers(0, 6, 9)
PARAMS = jax.tree.map(
    lambda leaf: RNG.normal(size=leaf.shape).astype(np.float32),
    jax.eval_shape(lambda key: router.init(key, 4, 5, 6, 3, 2), jax.random.key(0)),
)


@pytest.mark.parametrize(
    ("dim", "classes", "top", "parameters"),
    [(48, 100, 30, 1_615), (1536, 1000, 50, 49_251)],
)
def test_released_sizes(dim, classes, top, parameters):
    params = jax.eval_shape(
        lambda key: router.init(key, 3, dim, classes, top), jax.random.key(0)
    )
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == parameters


def requests():
    params = jax.tree.map(np.float64, PARAMS)
    rows = []
    for features, logits in zip(np.float64(FEATURES), np.float64(LOGITS)):
        row = []
        for i in range(3):
            unit = features[i] / np.sqrt((features[i] ** 2).sum())
            kernel, bias = (params["hidden"][name][i] for name in ("kernel", "bias"))
            hidden = np.maximum(unit @ kernel + bias, 0)
            largest = np.sort(logits[: i + 1].mean(0))[::-1][:3]
            seen = np.concatenate([largest, hidden])
            row.append(seen @ params["ask"]["kernel"][:, 0] + params["ask"]["bias"][0])
        rows.append(row)
    return np.array(rows)


def test_requests():
    found = jax.jit(router.logits)(PARAMS, FEATURES, LOGITS)
    np.testing.assert_allclose(found, requests(), rtol=1e-5, atol=1e-5)


def test_targets():
    # Two classes; the running mean of an image's logits decides for the larger one.
    gains = np.array([[1, 1, 1], [-1, 3, 1], [-1, -1, 3], [-1, -1, -1], [-1, 3, -9]])
    logits = np.stack([0 * gains, gains], -1).astype(np.float32)
    found = router.targets(logits, np.ones(5, int))
    wanted = [[0, 0], [1, 0], [1, 1], [0, 0], [1, 0]]
    np.testing.assert_array_equal(found, np.array(wanted, bool))


def test_loss():
    due = np.zeros((9, 3), bool)
    means = np.cumsum(np.float64(LOGITS), 1) / np.arange(1, 5)[:, None]
    right = means.argmax(-1) == LABELS[:, None]
    for b in range(9):
        for i in range(3):
            due[b, i] = not right[b, i] and right[b, i + 1 :].any()
    assert 0 < due.sum() < due.size
    asked = expit(requests())
    each = np.where(due, -100 * np.log(asked), -np.log1p(-asked))

    @jax.jit
    @partial(jax.value_and_grad, has_aux=True)
    def ours(params):
        found = router.loss(params, FEATURES, LOGITS, LABELS)
        return found.sum(), found

    (_, found), slopes = ours(PARAMS)
    np.testing.assert_allclose(found, each.mean(1), rtol=1e-4)
    assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(slopes))


def test_fewer_classes_than_logits_to_see():
    params = jax.eval_shape(lambda key: router.init(key, 4, 5, 6), jax.random.key(0))
    assert params["ask"]["kernel"].shape == (6 + 16, 1)
    assert jax.eval_shape(router.logits, params, FEATURES, LOGITS).shape == (9, 3)


def test_one_expert_has_no_router():
    with pytest.raises(ValueError, match="1 expert; a router needs at least 2"):
        router.init(jax.random.key(0), 1, 5, 6)
