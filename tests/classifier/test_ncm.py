import jax
import jax.numpy as jnp
import numpy as np
from sklearn.neighbors import NearestCentroid

from ltjax.classifier import ncm

RNG = np.random.default_rng(2)
LABELS = np.repeat([0, 2, 3], [30, 12, 5])
CENTERS = RNG.normal(size=(4, 6))
TRAIN = (3 + CENTERS[LABELS] + RNG.normal(size=(47, 6))).astype(np.float32)
TEST = (3 + CENTERS[RNG.integers(0, 4, 200)] + RNG.normal(size=(200, 6))).astype(
    np.float32
)


def transformed(features):
    centred = features - TRAIN.astype(np.float64).mean(0)
    return centred / np.linalg.norm(centred, axis=1, keepdims=True)


def test_logits_match_numpy():
    params = ncm.init(TRAIN, LABELS, 4)
    found = jax.jit(ncm.logits)(params, TEST)
    for label in (0, 2, 3):
        mean = transformed(TRAIN)[np.equal(LABELS, label)].mean(0)
        wanted = -((transformed(TEST) - mean) ** 2).sum(1)
        np.testing.assert_allclose(found[:, label], wanted, rtol=1e-5, atol=1e-6)


def test_many_classes_and_rows_are_summed_in_parts():
    rng = np.random.default_rng(3)
    classes, count = 700, 2 * ncm._ROWS + 11
    labels = rng.integers(0, classes - 3, count)  # of the last three none
    train = (100 + rng.normal(size=(count, 3))).astype(np.float32)
    found = ncm.init(jnp.asarray(train), labels, classes)
    # Added in float32, the center alone would be 1e-4 away.
    center = train.astype(np.float64).mean(0)
    np.testing.assert_allclose(found["center"], center, rtol=1e-7)
    points = train - np.asarray(found["center"], np.float64)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    for label in (0, 350, classes - 4):
        mean = points[labels == label].mean(0)
        np.testing.assert_allclose(found["means"][label], mean, rtol=1e-6)
    present = np.asarray(found["present"])
    assert present.tolist() == [True] * (classes - 3) + [False] * 3
    np.testing.assert_array_equal(found["means"][-3:], 0)


def test_predictions_match_scikit_learn():
    peer = NearestCentroid().fit(transformed(TRAIN), LABELS)
    found = ncm.logits(ncm.init(TRAIN, LABELS, 4), TEST).argmax(1)
    np.testing.assert_array_equal(found, peer.predict(transformed(TEST)))


def test_an_absent_class_is_never_the_nearest():
    params = ncm.init(TRAIN, LABELS, 4)
    found = np.asarray(ncm.logits(params, TEST))
    assert np.isfinite(found).all()
    assert (found[:, 1] < -1e3).all()
    # also for a point at the origin of the class means, where its empty mean lies
    center = ncm.logits(params, np.asarray(params["center"])[None])
    assert np.isfinite(center).all()
    assert center.argmax() != 1


def test_size_and_place_of_the_features_do_not_matter():
    shift = RNG.normal(size=6).astype(np.float32)
    plain = ncm.logits(ncm.init(TRAIN, LABELS, 4), TEST)
    moved = ncm.logits(ncm.init(4 * TRAIN + shift, LABELS, 4), 4 * TEST + shift)
    # the shift is rounded away from features of size 10
    np.testing.assert_allclose(plain, moved, rtol=2e-5, atol=1e-5)


def test_a_new_order_of_the_classes_reorders_the_logits():
    order = np.array([2, 0, 3, 1])
    plain = np.asarray(ncm.logits(ncm.init(TRAIN, LABELS, 4), TEST))
    moved = ncm.logits(ncm.init(TRAIN, np.argsort(order)[LABELS], 4), TEST)
    np.testing.assert_allclose(moved, plain[:, order], rtol=1e-6)
