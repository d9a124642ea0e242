"""The objectives of clusters: what is remembered, labelled, and lost."""

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest

from ltjax.representation import graph, transport
from ltjax.representation.objective import Task
from ltjax.representation.objectives import clusters

B, H, K, SIZE, N = 6, 2, 3, 15, 40
TASK = Task(counts=jnp.array([N, 0, 0]), steps=3, epochs=4)
SETTINGS = clusters.Settings(memory=SIZE)
RNG = np.random.default_rng(0)
OUTPUTS = np.float32(RNG.normal(scale=3, size=(5, 2 * B, H, K)))
ROWS = np.int32(RNG.permutation(N)[: 5 * B].reshape(5, B))
PARAMS = {"features": {}, "head": {"kernel": jnp.ones((H, 4, K))}}

pytestmark = pytest.mark.usefixtures("compiled_once")


def batch_of(step):
    return {"label": jnp.zeros(B, jnp.int32), "row": jnp.asarray(ROWS[step])}


def taken(made, count, **more):
    """Loss, judged and memory after each of some steps."""
    memory = made.init(jax.random.key(0), {"params": PARAMS})
    found, loss = [], jax.jit(made.loss)
    for step in range(count):
        outputs, batch = jnp.asarray(OUTPUTS[step]), {**batch_of(step), **more}
        value, judged, note = loss(outputs, batch, memory, jnp.int32(step))
        params = jax.tree.map(lambda leaf, at=step: leaf + at, PARAMS)
        memory = made.remember(memory, params, note)
        found.append((float(value), judged, memory))
    return found


def log_softmax(x):
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def by_hand(count, solve):
    """The losses of each step by head, [count, H], and the logits kept in the end."""
    kept, losses = np.zeros((SIZE, H, K)), []
    for step in range(count):
        rho = float(transport.ramp(step / 12))
        slots = (step * B + np.arange(B)) % SIZE
        filled = min((step + 1) * B, SIZE)
        labels = []
        for view in np.split(np.float64(OUTPUTS[step]), 2):
            kept[slots] = view
            plans = [solve(kept[:filled, h], rho) for h in range(H)]
            labels.append(np.stack([plan[slots] for plan in plans], 1))
        first, second = np.split(np.float64(OUTPUTS[step]), 2)
        losses.append(
            -(labels[1] * log_softmax(first)).sum(-1).mean(0)
            - (labels[0] * log_softmax(second)).sum(-1).mean(0)
        )
    return np.array(losses), kept


def test_labels_are_found_among_what_is_remembered_and_view_2_stays():
    found = taken(clusters.p2ot(TASK, SETTINGS), 5)

    def solve(logits, rho):
        return oracles.scaled(oracles.cost(logits), rho)[0]

    losses, kept = by_hand(5, solve)
    np.testing.assert_allclose(
        [value for value, *_ in found], losses.sum(1), rtol=2e-4, atol=1e-5
    )
    memory = found[-1][2]
    np.testing.assert_allclose(np.moveaxis(memory["logits"], 0, 1), kept, rtol=1e-6)
    # 30 images in 15 slots, of which the newest are there: twice round.
    assert memory["at"] == 0
    np.testing.assert_array_equal(memory["rows"], np.ravel(ROWS)[15:])
    # Of the last whole epoch, over rho.
    rhos = np.array([transport.ramp(step / 12) for step in range(3)])
    over = (losses[:3] / rhos[:, None]).mean(0)
    np.testing.assert_allclose(memory["last"], over, rtol=1e-3)


def test_the_epoch_with_the_smallest_loss_over_rho_stands():
    found = taken(clusters.p2ot(TASK, SETTINGS), 5)
    # Its weights are those after its last step, the third.
    for step, wanted in enumerate((1, 1, 3, 3, 3)):
        chosen = found[step][2]["chosen"]["head"]["kernel"]
        np.testing.assert_array_equal(chosen, np.full((H, 4, K), wanted))
    assert found[-1][2]["least"] == found[-1][2]["last"].min()


def test_judged_is_whether_both_views_agree():
    _, judged, _ = taken(clusters.p2ot(TASK, SETTINGS), 1)[0]
    first, second = np.split(OUTPUTS[0][:, 0].argmax(-1), 2)
    np.testing.assert_array_equal(judged.argmax(-1) == 0, first == second)


def test_no_label_is_read():
    made = clusters.p2ot(TASK, SETTINGS)
    plain = taken(made, 2)[-1][0]
    assert taken(made, 2, label=jnp.arange(B))[-1][0] == plain


def test_images_that_are_not_known_change_nothing():
    given = oracles.logits(30, 4, seed=9)
    known = np.arange(30) % 3 > 0
    for rho in (0.106, 0.9):
        found = transport.solve(given, rho, known=known).plan
        alone = transport.solve(given[known], rho).plan
        np.testing.assert_allclose(found[known], alone, atol=1e-5)
        assert not found[~known].any()


def test_the_gradient_is_that_of_fixed_labels():
    made = clusters.p2ot(TASK, SETTINGS)
    memory = made.init(jax.random.key(0), {"params": PARAMS})

    def loss(outputs):
        return made.loss(outputs, batch_of(0), memory, jnp.int32(0))[0]

    outputs = jnp.asarray(OUTPUTS[0])
    slope = jax.grad(loss)(outputs).reshape(2, B, H, K)
    halves = np.split(np.float64(OUTPUTS[0]), 2)
    for at, own in enumerate(halves):
        other = halves[1 - at]
        kept = [oracles.cost(other[:, h]) for h in range(H)]
        rho = float(transport.ramp(0.0))
        labels = np.stack([oracles.scaled(cost, rho)[0] for cost in kept], 1)
        share = np.exp(log_softmax(own))
        wanted = (labels.sum(-1, keepdims=True) * share - labels) / B
        np.testing.assert_allclose(slope[at], wanted, atol=1e-6)


def test_sp2ot_reads_the_part_of_the_graph_that_is_remembered():
    features = RNG.normal(size=(N, 5))
    near = graph.nearest(features, 6)
    dense = oracles.dense(*near)
    rows = jnp.asarray([4, 9, 33, 7, N, N])
    found = clusters._among(tuple(map(jnp.asarray, near)), rows, rows < N)
    part = oracles.dense(*map(np.asarray, found))
    np.testing.assert_allclose(part[:4, :4], dense[np.ix_(rows[:4], rows[:4])])
    assert not part[4:].any()
    assert not part[:, 4:].any()


def test_sp2ot_is_p2ot_without_a_weight():
    near = tuple(map(jnp.asarray, graph.nearest(RNG.normal(size=(N, 5)), 6)))
    plain = taken(clusters.p2ot(TASK, SETTINGS), 3)
    none = taken(clusters.sp2ot(TASK, SETTINGS, 0.0, 20), 3, graph=near)
    some = taken(clusters.sp2ot(TASK, SETTINGS, 0.2, 20), 3, graph=near)
    for a, b, c in zip(plain, none, some):
        np.testing.assert_allclose(a[0], b[0], rtol=1e-4)
        assert abs(a[0] - c[0]) > 1e-4
