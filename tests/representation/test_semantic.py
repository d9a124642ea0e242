"""SP2OT against its plain loop in float64 NumPy, and where that does not end."""

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest

from ltjax.mistake import Mistake
from ltjax.representation import graph, transport

LOGITS = oracles.logits(12, 3, seed=2, scale=4.0)
FEATURES = np.random.default_rng(3).normal(size=(12, 6)) + np.eye(12, 6) * 2
NEAR = graph.nearest(FEATURES, 3)
WEIGHTS = pytest.mark.parametrize("weight", [0.5, 1.0, 30.0])

pytestmark = pytest.mark.usefixtures("compiled_once")


@pytest.fixture
def double():
    with jax.enable_x64(True):
        yield


def sp2ot(given, rho, weight, **kept):
    return transport.sp2ot(given, rho, *NEAR, weight=weight, **kept)


@WEIGHTS
def test_the_first_rounds_are_those_of_the_plain_loop(double, weight):
    wanted = oracles.rounds(LOGITS, 0.4, NEAR, weight, 3)
    for count in (1, 2, 3):
        found = sp2ot(np.float64(LOGITS), 0.4, weight, rounds=count)
        np.testing.assert_allclose(found, wanted[count - 1], atol=1e-7)


@pytest.mark.parametrize("weight", [0.5, 1.0])
def test_it_ends_where_the_plain_loop_ends(weight):
    wanted = oracles.rounds(LOGITS, 0.4, NEAR, weight, 60)
    assert np.abs(wanted[-1] - wanted[-2]).max() < 1e-8
    found = transport.semantic(LOGITS, 0.4, NEAR, weight)
    np.testing.assert_allclose(found.plan, wanted[-1], atol=2e-5)
    assert (found.share, found.dampings) == (1, 0)


def test_where_plans_come_back_in_turns_a_share_is_taken_and_told(double):
    plans = oracles.rounds(LOGITS, 0.4, NEAR, 30.0, 40)
    # The plain loop has a period of two rounds.
    assert np.abs(plans[-1] - plans[-3]).max() < 1e-3
    assert np.abs(plans[-1] - plans[-2]).max() > 0.3
    found = transport.semantic(np.float64(LOGITS), 0.4, NEAR, 30.0)
    assert found.share < 1
    assert found.dampings > 0
    assert found.change < 1e-6
    # What is found does not move in a round of the plain loop: not another problem's.
    a = oracles.dense(*NEAR)
    pulled = oracles.cost(LOGITS) - 30.0 * (a + a.T) @ found.plan / 12
    np.testing.assert_allclose(oracles.scaled(pulled, 0.4)[0], found.plan, atol=1e-6)


def test_no_weight_is_p2ot():
    found = transport.semantic(LOGITS, 0.4, NEAR, 0.0)
    np.testing.assert_allclose(found.plan, transport.p2ot(LOGITS, 0.4), atol=1e-6)
    assert found.rounds == 2


def test_the_weight_goes_with_the_number_of_images(double):
    twice = np.float64(np.vstack([LOGITS, LOGITS]))
    near = [np.vstack([x, x + shift]) for x, shift in zip(NEAR, (12, 0))]
    found = transport.sp2ot(twice, 0.4, *near, weight=2.0)
    once = sp2ot(np.float64(LOGITS), 0.4, 1.0)
    np.testing.assert_allclose(found, np.vstack([once, once]), atol=1e-9)


def test_neighbours_come_to_share_their_labels():
    wide = oracles.logits(60, 4, seed=6, scale=2.0)
    groups = np.arange(60) // 10
    near = graph.nearest(10 * np.eye(6)[groups] + 0.01 * wide[:, :1], 5)

    a = oracles.dense(*near)
    shared = []
    for weight in (0.0, 3.0, 10.0, 30.0):
        plan = np.float64(transport.sp2ot(wide, 0.5, *near, weight=weight))
        np.testing.assert_allclose(plan.sum(1).mean(), 0.5, rtol=1e-4)
        shared.append((a * (plan @ plan.T)).sum())
    assert shared == sorted(shared)
    assert shared[-1] > 1.5 * shared[0]


def test_the_papers_weight_on_few_images_gives_numbers():
    given = oracles.logits(64, 8, seed=7)
    near = graph.nearest(np.random.default_rng(0).normal(size=(64, 5)), 20)
    for rho in (0.106, 1.0):
        found = transport.semantic(given, rho, near, 1000.0, rounds=5)
        assert np.isfinite(found.plan).all()
        assert (found.plan.sum(1) < 1.001).all()


def test_no_gradient_flows():
    slope = jax.grad(lambda x: sp2ot(x, 0.4, 1.0, rounds=2).sum())(jnp.asarray(LOGITS))
    assert not slope.any()


def test_both_ways():
    values = np.random.default_rng(1).normal(size=(12, 4)).astype(np.float32)
    a = oracles.dense(*NEAR)
    found = graph.both_ways(*map(jnp.asarray, NEAR), jnp.asarray(values))
    np.testing.assert_allclose(found, (a + a.T) @ values, rtol=1e-5, atol=1e-6)


def test_nearest():
    rng = np.random.default_rng(2)
    features = rng.normal(size=(1500, 3))  # more than one block
    neighbours, similarity = graph.nearest(features, 4, width=1.5)
    squares = ((features[:, None] - features[None]) ** 2).sum(-1)
    np.fill_diagonal(squares, np.inf)
    wanted = np.argsort(squares, 1)[:, :4]
    assert (neighbours == wanted).mean() > 0.999  # but for ties in float32
    least = np.take_along_axis(squares, wanted, 1)
    np.testing.assert_allclose(similarity, np.exp(-least / (2 * 1.5**2 * 3)), atol=1e-4)


@pytest.mark.parametrize(
    ("near", "told"),
    [
        ((NEAR[0][:5], NEAR[1][:5]), r"shapes \(5, 3\) and \(5, 3\)"),
        ((NEAR[0], NEAR[1][:, :2]), r"shapes \(12, 3\) and \(12, 2\)"),
        ((NEAR[0] + 9, NEAR[1]), "neighbours has 1[2-9]; images are 0 to 11"),
        ((np.tile(np.arange(12)[:, None], 3), NEAR[1]), "image 0 name itself"),
        ((NEAR[0], NEAR[1] * np.nan), "similarity is not finite"),
    ],
)
def test_a_graph_that_is_none_is_told_in_a_line(near, told):
    with pytest.raises(Mistake, match=told) as caught:
        transport.sp2ot(LOGITS, 0.4, *near, weight=1.0)
    assert "\n" not in str(caught.value)


def test_a_missing_neighbour_may_be_written_as_any_image():
    near = (
        np.hstack([NEAR[0], np.arange(12)[:, None]]),
        np.pad(NEAR[1], ((0, 0), (0, 1))),
    )
    found = transport.sp2ot(LOGITS, 0.4, *near, weight=1.0)
    np.testing.assert_allclose(found, sp2ot(LOGITS, 0.4, 1.0), atol=1e-6)


@pytest.mark.parametrize("count", [0, 12])
def test_too_many_neighbours_are_told(count):
    with pytest.raises(Mistake, match=f"neighbours are {count} of 12 images"):
        graph.nearest(FEATURES, count)
