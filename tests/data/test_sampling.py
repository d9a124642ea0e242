import functools

import jax
import numpy as np
import pytest
from scipy.stats import chi2

from ltjax.data import sampling

COUNTS = np.array([160, 0, 40, 10])
PRESENT = COUNTS > 0
LABELS = np.random.default_rng(0).permutation(np.repeat(np.arange(4), COUNTS))
INDEX = sampling.class_index(LABELS, 4)
RULES = ("instance", "repeated", "class", "square_root", "progressive")


@functools.cache
def compiled(rule, epochs=5, drop_last=True):
    return jax.jit(sampling.batches(rule, INDEX, 50, epochs, drop_last))


def rows_of(rule, epoch, key=5, **settings):
    return np.asarray(compiled(rule, **settings)(jax.random.key(key), epoch))


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_has_the_steps_of_the_original_size(rule):
    for drop_last, steps in ((True, 4), (False, 5)):
        rows = compiled(rule, drop_last=drop_last)
        layout = jax.eval_shape(rows, jax.random.key(0), 0)
        assert layout.shape == (steps, 50)
        assert layout.dtype == np.int32


@pytest.mark.parametrize("rule", RULES)
def test_same_key_and_epoch_give_the_same_rows(rule):
    rows = rows_of(rule, 1)
    assert rows.min() >= 0
    assert rows.max() < 210
    np.testing.assert_array_equal(rows_of(rule, 1), rows)
    assert (rows_of(rule, 1, key=6) != rows).mean() > 0.5


def test_instance_is_a_permutation():
    rows = rows_of("instance", 0, drop_last=False).ravel()
    assert sorted(rows[:210]) == list(range(210))


def assert_fits(labels, probabilities):
    """Pearson's statistic below its 1 - 1e-4 quantile; the keys are fixed."""
    observed = np.bincount(labels, minlength=4)
    assert observed[~PRESENT].sum() == 0
    wanted = len(labels) * probabilities[PRESENT]
    statistic = ((observed[PRESENT] - wanted) ** 2 / wanted).sum()
    assert statistic < chi2.ppf(1 - 1e-4, PRESENT.sum() - 1)


@pytest.mark.parametrize(
    ("rule", "epoch", "mix"),
    [
        # mix: shares of n^1, n^(1/2) and n^0
        ("class", 3, (0, 0, 1)),
        ("square_root", 3, (0, 1, 0)),
        ("progressive", 0, (1, 0, 0)),
        ("progressive", 1, (0.75, 0, 0.25)),
        ("progressive", 4, (0, 0, 1)),
    ],
)
def test_classes_are_drawn_with_the_probabilities_of_the_rule(rule, epoch, mix):
    powers = [np.where(PRESENT, COUNTS**q, 0) for q in (1.0, 0.5, 0.0)]
    probabilities = sum(m * p / p.sum() for m, p in zip(mix, powers))
    rows = np.stack([rows_of(rule, epoch, key) for key in range(50)])
    assert_fits(LABELS[rows].ravel(), probabilities)


def test_progressive_ends_as_class_balanced():
    np.testing.assert_array_equal(rows_of("progressive", 4), rows_of("class", 4))
    single = rows_of("progressive", 0, epochs=1)  # a single epoch is the first
    np.testing.assert_array_equal(single, rows_of("progressive", 0))


def test_an_unknown_rule_is_refused_before_anything_is_drawn():
    with pytest.raises(
        ValueError, match="rule is 'uniform', not 'instance', 'repeated'"
    ):
        sampling.batches("uniform", INDEX, 50, 5)


@pytest.mark.parametrize("drop_last", [True, False])
def test_repeated_rows_are_a_third_of_a_permutation_thrice(drop_last):
    rows = rows_of("repeated", 2, drop_last=drop_last).reshape(-1)
    found, times = np.unique(rows, return_counts=True)
    assert len(found) == -(-len(rows) // 3)
    assert sorted(times)[1:] == [3] * (len(found) - 1)
    assert (rows[:-2:3] == rows[2::3]).all()
    other = rows_of("repeated", 2, key=6, drop_last=drop_last).reshape(-1)
    assert len(np.union1d(found, other)) > len(found)
