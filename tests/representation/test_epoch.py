import itertools
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ltjax.losses import cross_entropy
from ltjax.posterior import swa, swag
from ltjax.representation import epoch, schedule, step

pytestmark = pytest.mark.usefixtures("compiled_once")

RNG = np.random.default_rng(1)
DATA = {
    "image": RNG.integers(0, 256, (20, 4), np.uint8),
    "label": RNG.integers(0, 3, 20).astype(np.int32),
}
ROWS = np.stack([RNG.permutation(20)[:15].reshape(3, 5) for _ in range(4)])
PARAMS = {"kernel": RNG.normal(size=(4, 3)).astype(np.float32)}
KEYS = tuple(jax.random.split(jax.random.key(0)))

TX = schedule.sgd(schedule.to_constant(0.3, 0.1, 6, 2), 0.9, 1e-3)


def noisy(variables, image, train, rngs, mutable):
    noise = jax.random.normal(rngs["dropout"], image.shape)
    return (image + 0.1 * noise) @ variables["params"]["kernel"], {}


@epoch.of_images
def prepare(key, images):
    return images / 255 + 0.1 * jax.random.normal(key, images.shape)


def begin(posterior):
    return step.init({"params": PARAMS}, TX), posterior.init(PARAMS)


advance = step.make_step(noisy, cross_entropy, TX)
collect = epoch.every(swa.update, start=2, interval=3)
one_epoch = epoch.make_epoch(advance, prepare, collect)


def test_an_epoch_equals_a_loop_over_its_steps():
    carry = begin(swa)
    state = carry[0]
    compiled, jitted = jax.jit(one_epoch), jax.jit(advance)
    history, snapshots = [], []
    for rows in ROWS[:2].reshape(-1, 5):
        key = jax.random.fold_in(KEYS[0], len(history))
        batch = {name: array[rows] for name, array in DATA.items()}
        state, metrics = jitted(KEYS[1], state, prepare(key, state, batch))
        history.append(metrics)
        if int(state.step) == 5:
            snapshots.append(state.params)
    found = []
    for rows in ROWS[:2]:
        carry, metrics = compiled(KEYS, carry, DATA, rows)
        found.append(metrics)
    stacked = jax.tree.map(lambda *xs: jnp.stack(xs), *history)
    joined = jax.tree.map(lambda *xs: jnp.concatenate(xs), *found)
    chex.assert_trees_all_close(joined, stacked, rtol=1e-5, atol=1e-6)
    chex.assert_trees_all_close(carry[0], state, rtol=1e-5, atol=1e-6)
    assert int(carry[1].count) == len(snapshots) == 1
    chex.assert_trees_all_close(carry[1].mean, snapshots[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("bounds", [(0, 1, 3), (0, 2, 3), (0, 1, 2, 3)])
def test_an_epoch_in_parts_is_the_same_epoch_bit_for_bit(bounds):
    chex.clear_trace_counter()
    compiled = jax.jit(chex.assert_max_traces(one_epoch, 1))
    parts = np.array([0, *bounds], np.int32)
    whole, wanted = compiled(KEYS, begin(swa), DATA, ROWS[0], parts[0], np.int32(3))
    carry, told = begin(swa), []
    for first, last in itertools.pairwise(parts):
        carry, history = compiled(KEYS, carry, DATA, ROWS[0], first, last)
        assert not np.asarray(history["finite"])[:first].any()
        assert not np.asarray(history["finite"])[last:].any()
        told.append(jax.tree.map(lambda h, f=first, t=last: h[f:t], history))
    chex.assert_trees_all_equal(carry, whole)
    chex.assert_trees_all_equal(
        jax.tree.map(lambda *parts: jnp.concatenate(parts), *told), wanted
    )


def poisoned():
    """Images of which the batch of step 1, the snapshot's after it, is not finite."""
    images = DATA["image"].astype(np.float32)
    images[ROWS[0][1][2]] = np.inf
    assert not np.isin(ROWS[0][0], ROWS[0][1]).any()
    return {**DATA, "image": images}, ROWS[0]


def test_an_epoch_ends_at_a_step_that_is_not_finite():
    data, rows = poisoned()
    always = epoch.every(swa.update, start=0, interval=1)
    run = jax.jit(epoch.make_epoch(advance, prepare, always))
    found, history = run(KEYS, begin(swa), data, rows)
    wanted, _ = run(KEYS, begin(swa), data, rows, np.int32(0), np.int32(1))
    chex.assert_trees_all_equal(found, wanted)
    assert int(found[0].step) == int(found[1].count) == 1
    assert history["finite"].tolist() == [True, False, False]
    assert np.isnan(history["loss"][1])
    # Batch by batch, too.
    turn = jax.jit(epoch.make_turn(advance, prepare, always))
    batches = ({"image": data["image"][r], "label": data["label"][r]} for r in rows)
    turns = list(epoch.over(partial(turn, KEYS), begin(swa), batches))
    assert [bool(metrics["finite"]) for _, metrics, _ in turns] == [True, False]
    chex.assert_trees_all_close(turns[-1][0], wanted, rtol=1e-6)


def test_all_epochs_are_one_program():
    chex.clear_trace_counter()
    counted = jax.jit(chex.assert_max_traces(one_epoch, 1))
    carry = begin(swa)
    for rows in ROWS:
        carry, _ = counted(KEYS, carry, DATA, rows)
    assert int(carry[0].step) == 12
    assert int(carry[1].count) == 3  # after steps 5, 8 and 11


@pytest.mark.parametrize(
    ("start", "interval", "wanted"),
    [
        (0, 1, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
        (0, 4, [4, 8]),
        (3, 2, [5, 7, 9]),
        (4, 6, [10]),
        (9, 2, []),
    ],
)
def test_snapshots_are_taken_at_their_steps_only(start, interval, wanted):
    gather = jax.jit(epoch.every(swag.update, start, interval))
    points = RNG.normal(size=(11, 2)).astype(np.float32)
    posterior = swag.init({"w": points[0]}, rank=2)
    counts = [0]
    for number in range(1, 11):
        state = step.State(jnp.int32(number), {"w": points[number]}, {}, ())
        posterior = gather(posterior, state)
        counts.append(int(posterior.count))
    assert list(np.flatnonzero(np.diff(counts)) + 1) == wanted
    assert counts[-1] == len(wanted)
    if wanted:
        mean = points[wanted].astype(np.float64).mean(0)
        np.testing.assert_allclose(posterior.mean["w"], mean, rtol=1e-5, atol=1e-6)
