"""The same training on one device, under pmap, and over a mesh of two devices."""

import chex
import jax
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding

from ltjax.losses import cross_entropy
from ltjax.models.cifar_resnet import CifarResNet
from ltjax.models.heads import Linear
from ltjax.models.network import Network
from ltjax.posterior import swa, swag
from ltjax.representation import schedule, step

pytestmark = pytest.mark.usefixtures("compiled_once")

STEPS = 3
RNG = np.random.default_rng(0)
BATCHES = {  # of two seeds
    "image": RNG.normal(size=(2, STEPS, 8, 8, 8, 3)).astype(np.float32),
    "label": RNG.integers(0, 4, (2, STEPS, 8)),
}
TX = schedule.sgd(schedule.to_constant(0.05, 0.02, 2, 1), 0.9, 5e-4)


def network(axis_name=None):
    return Network(CifarResNet(8, 4, axis_name=axis_name), Linear(4))


def make_train(axis_name=None):
    """A few steps, each followed by an update of both posteriors."""
    advance = step.make_step(network(axis_name).apply, cross_entropy, TX, axis_name)

    def train(key, carry, batches):
        def body(carry, batch):
            state, average, posterior = carry
            state, metrics = advance(key, state, batch)
            average = swa.update(average, state.params)
            posterior = swag.update(posterior, state.params)
            return (state, average, posterior), metrics

        return jax.lax.scan(body, carry, batches)

    return train


def begin():
    """The carry before the first step, drawn with NumPy, which compiles nothing."""
    layout = jax.eval_shape(network().init, jax.random.key(0), BATCHES["image"][0, 0])
    params = jax.tree.map(
        lambda leaf: np.float32(RNG.normal(0, 0.3, leaf.shape)), layout["params"]
    )
    stats = jax.tree.map(
        lambda leaf: np.ones(leaf.shape, np.float32), layout["batch_stats"]
    )
    state = step.init({"params": params, "batch_stats": stats}, TX)
    carry = state, swa.init(params), swag.init(params, 2)
    return jax.tree.map(np.asarray, carry)


def keys():
    """One key per seed, unused."""
    return jax.random.split(jax.random.key(1))


def of(index, tree):
    return jax.tree.map(lambda leaf: np.asarray(leaf)[index], tree)


@pytest.fixture(scope="module")
def starts():
    return [begin(), begin()]


@pytest.fixture(scope="module")
def alone(starts):
    """The end and the history of each seed's training on one device."""
    train = jax.jit(make_train())
    return [train(keys()[s], starts[s], of(s, BATCHES)) for s in (0, 1)]


def assert_same(found, wanted):
    # Sums over 8 x 8 pixels and 8 images in another order, three steps long.
    chex.assert_trees_all_close(found, wanted, rtol=1e-5, atol=1e-5)


def test_two_seeds_under_pmap_equal_two_runs(starts, alone):
    assert jax.device_count() == 2
    pair = jax.tree.map(lambda *leaves: np.stack(leaves), *starts)
    ends = jax.pmap(make_train())(keys(), pair, BATCHES)
    for seed in (0, 1):
        assert_same(of(seed, ends), alone[seed])
    (_, average, posterior), _ = ends
    assert average.count.tolist() == posterior.count.tolist() == [STEPS, STEPS]


def test_halves_of_a_batch_under_pmap_equal_one_device(starts, alone):
    halves = jax.tree.map(
        lambda leaf: leaf[0].reshape(STEPS, 2, 4, *leaf.shape[3:]), BATCHES
    )
    train = jax.pmap(make_train("batch"), axis_name="batch", in_axes=(None, None, 1))
    ends = train(keys()[0], starts[0], halves)
    chex.assert_trees_all_equal(of(0, ends), of(1, ends))
    assert_same(of(0, ends), alone[0])


def test_a_batch_over_a_mesh_equals_one_device(starts, alone):
    mesh = jax.make_mesh((2,), ("data",), axis_types=(AxisType.Auto,))
    whole, split = (NamedSharding(mesh, jax.P(*axes)) for axes in ((), (None, "data")))
    key, start = jax.device_put((keys()[0], starts[0]), whole)
    batches = jax.device_put(of(0, BATCHES), split)
    ends = jax.jit(make_train())(key, start, batches)
    assert all(len(leaf.devices()) == 2 for leaf in jax.tree.leaves(ends))
    assert_same(ends, alone[0])
