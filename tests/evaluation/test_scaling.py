"""Temperatures and biases, beside a grid, another minimiser, and laws."""

import numpy as np
import pytest
from scipy import optimize
from scipy.special import log_softmax

from ltjax import evaluation
from ltjax.evaluation import scaling


def drawn(count, classes=4, sharpness=2.0, shift=0.0, seed=0):
    """Logits [N, C] that are `sharpness` times too sure, and off by a `shift` [C]."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=2.0, size=(count, classes))
    labels = (logits + rng.gumbel(size=logits.shape)).argmax(-1)
    return sharpness * (logits + shift), labels


def balanced(logits, labels):
    """The mean over classes of the mean NLL of theirs, in plain loops."""
    log_p = log_softmax(logits, -1)
    means = [-log_p[labels == c, c].mean() for c in np.unique(labels)]
    return np.mean(means)


def worth(labels):
    """How many images of equal weight those are that make classes equal: Kish."""
    counts = np.bincount(labels)
    w = 1 / counts[labels]
    return w.sum() ** 2 / (w**2).sum()


@pytest.mark.parametrize("count", [25, 400])
def test_the_temperature_is_the_most_probable_one(count):
    logits, labels = drawn(count)
    grid = np.linspace(-2, 3, 20001)
    n = worth(labels)
    values = [
        balanced(logits / np.exp(t), labels) + (t / 0.5) ** 2 / 2 / n for t in grid
    ]
    # The grid's step is 2.5e-4 of T.
    wanted = np.exp(grid[np.argmin(values)])
    found = scaling._fit(logits, labels, False)
    assert found.temperature == pytest.approx(wanted, rel=3e-4)


def test_of_many_images_it_is_that_which_made_them():
    logits, labels = drawn(20000, sharpness=3.0)
    found = scaling._fit(logits, labels, False)
    assert found.temperature == pytest.approx(3.0, rel=0.03)
    even = np.repeat(np.arange(4), 5000)
    logits = np.random.default_rng(1).normal(size=(20000, 4)) + 2 * np.eye(4)[even]
    plain = float(evaluation.temperature(logits, even))
    assert scaling._fit(logits, even, False).temperature == pytest.approx(plain, 1e-3)


def test_with_biases_it_is_the_minimum_of_another_minimiser():
    logits, labels = drawn(80, 3, shift=np.array([0.8, 0.0, -0.8]))
    n = worth(labels)

    def objective(x):
        prior = (x[0] / 0.5) ** 2 + (x[1:] ** 2).sum()
        return balanced(logits / np.exp(x[0]) + x[1:], labels) + prior / 2 / n

    options = {"xatol": 1e-9, "fatol": 1e-13, "maxiter": 20000, "maxfev": 20000}
    wanted = optimize.minimize(
        objective, np.zeros(4), method="Nelder-Mead", options=options
    ).x
    found = scaling._fit(logits, labels, True)
    assert found.temperature == pytest.approx(np.exp(wanted[0]), rel=1e-4)
    np.testing.assert_allclose(found.bias, wanted[1:] - wanted[1:].mean(), atol=1e-4)


def test_biases_are_taken_where_they_help_images_that_did_not_fit_them():
    shift = np.array([1.5, 0.0, 0.0, -1.5])
    found = scaling.fitted(*drawn(2000, shift=shift))
    assert found.bias is not None
    # What was added to the logits is taken off again; the prior of classes is even.
    np.testing.assert_allclose(np.diff(found.bias)[1:2], 0, atol=0.3)
    assert found.bias[3] - found.bias[0] == pytest.approx(3.0, abs=0.5)
    few = drawn(2000, shift=shift)
    few = tuple(each[:20] for each in few)
    assert scaling.fitted(*few).bias is None


def test_all_right_of_few_is_no_reason_to_be_sure_of_everything():
    logits = 6.0 * np.eye(3)[[0, 1, 2] * 5]
    found = scaling.fitted(logits, np.array([0, 1, 2] * 5))
    assert 0.7 < found.temperature < 1
    twice = scaling.fitted(logits, np.array([0, 1, 2] * 4 + [1, 2, 0]))
    assert twice.temperature > 1.5


def test_classes_weigh_the_same_however_many_images_they_have():
    logits, labels = drawn(400)
    few = np.flatnonzero(labels == 0)[:40]
    rest = np.flatnonzero(labels != 0)
    once = scaling.balanced_nll(logits[[*few, *rest]], labels[[*few, *rest]])
    often = [*np.tile(few, 7), *rest]
    assert scaling.balanced_nll(logits[often], labels[often]) == pytest.approx(once)
    assert once == pytest.approx(balanced(logits[[*few, *rest]], labels[[*few, *rest]]))


def test_a_constant_on_all_logits_of_an_image_says_nothing():
    logits, labels = drawn(300)
    moved = logits + np.random.default_rng(2).normal(size=(300, 1)) * 5
    found, same = (scaling.fitted(each, labels) for each in (logits, moved))
    assert same.temperature == pytest.approx(found.temperature, rel=1e-5)
    assert (same.bias is None) == (found.bias is None)
    of = scaling.calibrated(lambda z: z, found)
    np.testing.assert_allclose(
        of(logits.astype(np.float32)), of(moved.astype(np.float32)), atol=2e-5
    )


def test_a_class_that_never_comes_stays_away():
    logits, labels = drawn(300, 3)
    lowered = np.concatenate([logits, np.full((300, 1), -1e4)], -1)
    found = scaling.fitted(lowered, labels)
    assert found.temperature == pytest.approx(
        scaling._fit(logits, labels, False).temperature, rel=1e-5
    )
    probs = np.exp(scaling.calibrated(lambda z: z, found)(lowered.astype(np.float32)))
    assert (probs[:, 3] == 0).all()


def test_what_a_row_tells_comes_back():
    for own in (scaling.Scaling(1.5), scaling.Scaling(0.7, (0.25, -0.25))):
        assert scaling.of_row({"calibration": own.told()}) == own
    assert scaling.of_row({"nll": 1.0}) is None
    log_probs = len
    assert scaling.calibrated(log_probs, None) is log_probs


def test_shapes_that_do_not_fit_are_refused():
    for shapes in (((0, 3), (0,)), ((4, 3), (3,)), ((4,), (4,))):
        with pytest.raises(ValueError, match=r"should be \[N, C\]"):
            scaling.fitted(*(np.zeros(shape, int) for shape in shapes))
