import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chi2

from ltjax.data import sampling
from ltjax.mistake import Mistake

COUNTS = np.array([40, 0, 13, 1, 0, 6, 0])
PRESENT = np.flatnonzero(COUNTS)

draw = jax.jit(sampling.sampled, static_argnums=(3, 4))
epoch = jax.jit(sampling.instance_balanced, static_argnums=(1, 2, 3))


@pytest.fixture(scope="module")
def labels():
    return np.random.default_rng(0).permutation(np.repeat(np.arange(7), COUNTS))


@pytest.fixture(scope="module")
def index(labels):
    return sampling.class_index(labels, 7)


def assert_fits(observed, probabilities):
    """Pearson's statistic below its 1 - 1e-4 quantile; the keys are fixed."""
    expected = observed.sum() * probabilities
    statistic = ((observed - expected) ** 2 / expected).sum()
    assert statistic < chi2.ppf(1 - 1e-4, len(observed) - 1)


@pytest.mark.parametrize(
    ("count", "batch_size", "drop_last", "wanted"),
    [
        (10, 3, True, 3),
        (10, 3, False, 4),
        (9, 3, True, 3),
        (9, 3, False, 3),
        (2, 3, False, 1),
        (1, 1, True, 1),
        (10_847, 128, True, 84),
        (10_847, 128, False, 85),
    ],
)
def test_steps(count, batch_size, drop_last, wanted):
    assert sampling.steps(count, batch_size, drop_last) == wanted


@pytest.mark.parametrize(("count", "batch_size"), [(10, 3), (12, 4), (1, 1)])
def test_no_row_twice_in_an_epoch(count, batch_size):
    rows = epoch(jax.random.key(1), count, batch_size, True)
    assert rows.shape == (count // batch_size, batch_size)
    assert rows.dtype == jnp.int32
    flat = np.asarray(rows).ravel()
    assert len(set(flat)) == len(flat)
    assert set(flat) <= set(range(count))


@pytest.mark.parametrize(("count", "batch_size"), [(10, 3), (12, 4), (3, 8), (1, 5)])
def test_every_row_when_the_last_batch_is_kept(count, batch_size):
    rows = epoch(jax.random.key(1), count, batch_size, False)
    assert rows.shape == (-(-count // batch_size), batch_size)
    flat = np.asarray(rows).ravel()
    assert set(flat[:count]) == set(range(count))
    wanted = np.resize(flat[:count], len(flat))  # the same permutation from its start
    np.testing.assert_array_equal(flat, wanted)


def test_epoch_is_a_function_of_its_key():
    first, again, other = (
        np.asarray(epoch(jax.random.key(seed), 500, 50, True)) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).mean() > 0.9
    whole = np.asarray(epoch(jax.random.key(1), 500, 50, False))
    np.testing.assert_array_equal(first, whole)


def test_every_permutation_is_as_likely():
    keys = jax.random.split(jax.random.key(0), 6000)
    rows = jax.jit(jax.vmap(lambda key: sampling.instance_balanced(key, 3, 1)))(keys)
    codes = np.asarray(rows)[:, :, 0] @ [9, 3, 1]
    observed = np.unique(codes, return_counts=True)[1]
    assert len(observed) == 6
    assert_fits(observed, np.full(6, 1 / 6))


def test_class_index_lists_each_class(labels, index):
    for c in range(7):
        begin, size = index.starts[c], index.counts[c]
        rows = index.rows[begin : begin + size]
        np.testing.assert_array_equal(rows, np.flatnonzero(labels == c))
    chex.assert_type([index.rows, index.starts, index.counts], jnp.int32)


def test_sampled_follows_the_probabilities(labels, index):
    weights = np.array([1.0, 9.0, 2.0, 3.0, 9.0, 2.0, 9.0])  # absent ones count for 0
    rows = np.asarray(draw(jax.random.key(3), index, weights, 200, 100))
    assert rows.shape == (200, 100)
    assert rows.dtype == np.int32
    observed = np.bincount(labels[rows.ravel()], minlength=7)
    assert_fits(observed[PRESENT], weights[PRESENT] / weights[PRESENT].sum())
    assert observed.sum() == observed[PRESENT].sum()
    for c in (0, 2, 5):  # and uniformly within the class
        members = np.flatnonzero(labels == c)
        within = np.bincount(rows.ravel(), minlength=len(labels))[members]
        assert_fits(within, np.full(len(members), 1 / len(members)))


def test_sampled_is_a_function_of_its_key(index):
    weights = sampling.power(index.counts, 0.0)
    first, again, other = (
        np.asarray(draw(jax.random.key(seed), index, weights, 200, 100))
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_absent_classes_are_never_drawn_among_many():
    # A float32 running sum over so many classes wobbles by more than a class's share
    # of it, and its end is not one: both draw absent classes now and then.
    classes = 5000
    counts = np.where(np.arange(classes) % 3 == 1, 2, 0)
    labels = np.repeat(np.arange(classes), counts)
    index = sampling.class_index(labels, classes)
    weights = np.linspace(1, 2, classes, dtype=np.float32)
    rows = np.asarray(draw(jax.random.key(0), index, weights, 1000, 1000)).ravel()
    assert rows.min() >= 0
    observed = np.bincount(labels[rows], minlength=classes)
    assert (observed[counts == 0] == 0).all()
    wanted = weights[counts > 0].astype(np.float64)
    assert_fits(observed[counts > 0], wanted / wanted.sum())


@pytest.mark.parametrize(("edge", "wanted"), [("first", 1), ("half", 3), ("last", 3)])
def test_each_point_falls_into_the_class_that_begins_at_it(monkeypatch, edge, wanted):
    # Each of these points comes up once in 2^30 draws, so it is drawn by hand.
    def extreme(key, shape, low, high):
        place = {"first": low, "half": high // 2, "last": high - 1}[edge]
        return jnp.broadcast_to(place, shape)

    monkeypatch.setattr(jax.random, "randint", extreme)
    labels = np.array([1, 3, 3, 1])
    index = sampling.class_index(labels, 5)
    weights = np.full(5, 0.2)
    rows = np.asarray(sampling.sampled(jax.random.key(0), index, weights, 1, 4))
    assert (labels[rows] == wanted).all()


@pytest.mark.parametrize("only", [0, 3, 5])
def test_a_certain_class_is_always_drawn(labels, index, only):
    weights = np.eye(7)[only]
    rows = np.asarray(draw(jax.random.key(0), index, weights, 200, 100))
    assert (labels[rows] == only).all()


def test_sampled_compiles_once_for_changing_probabilities(index):
    chex.clear_trace_counter()
    counted = chex.assert_max_traces(sampling.sampled, 1)
    traced = jax.jit(counted, static_argnums=(3, 4))
    for progress in (0.0, 0.5, 1.0):
        weights = sampling.progressive(index.counts, progress)
        traced(jax.random.key(0), index, weights, 2, 3)


@pytest.mark.parametrize("q", [0.0, 0.5, 1.0, 2.0, 40.0])
def test_power_matches_numpy(q):
    wanted = np.where(COUNTS > 0, COUNTS.astype(np.float64) ** q, 0)
    wanted /= wanted.sum()
    found = jax.jit(sampling.power)(COUNTS, q)
    # 40^40 is beyond float32, and 40^-40 is 0 in it
    np.testing.assert_allclose(found, wanted, rtol=3e-6, atol=1e-20)
    assert (np.asarray(found)[COUNTS == 0] == 0).all()


def test_power_at_its_named_exponents():
    np.testing.assert_allclose(sampling.power(COUNTS, 1), COUNTS / 60, rtol=1e-6)
    np.testing.assert_allclose(sampling.power(COUNTS, 0), (COUNTS > 0) / 4, rtol=1e-6)
    root = sampling.power(np.array([4, 1, 0]), 0.5)
    np.testing.assert_allclose(root, [2 / 3, 1 / 3, 0], rtol=1e-6)


def test_progressive_runs_from_instance_to_class_balanced():
    instance, balanced = sampling.power(COUNTS, 1), sampling.power(COUNTS, 0)
    np.testing.assert_array_equal(sampling.progressive(COUNTS, 0.0), instance)
    np.testing.assert_array_equal(sampling.progressive(COUNTS, 1.0), balanced)
    quarter = sampling.progressive(COUNTS, 0.25)
    wanted = 0.75 * COUNTS / 60 + 0.25 * (COUNTS > 0) / 4
    np.testing.assert_allclose(quarter, wanted, rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: sampling.steps(5, 8), ["batch size 8", "5 images"]),
        (lambda: sampling.steps(5, 0), ["batch size is 0", "1 or more"]),
        (lambda: sampling.steps(0, 8, drop_last=False), ["batch size 8", "0 images"]),
        (lambda: sampling.class_index([0, 3], 3), ["label 3", "row 1", "0..2"]),
    ],
)
def test_mistakes(call, words):
    with pytest.raises(Mistake) as caught:
        call()
    assert all(word in str(caught.value) for word in words)
