"""SWA, SWAG and batch norm in ltjax and in PyTorch, for `beside.py` to time."""

import functools

import jax
import jax.numpy as jnp
import torch

from bench import pairs, peer
from bench.harness import ready
from bench.shared import normalise, shared
from ltjax.posterior import members as extractor
from ltjax.posterior import swa, swag

DRAWS = 10
SETS = 1 + DRAWS


@functools.cache
def posteriors():
    """The SWAG posterior of the same snapshots in ltjax and in PyTorch, and its net."""
    at, update, network = shared(), jax.jit(swag.update), pairs.twin()
    ours = swag.init(at.variables["params"], pairs.RANK)
    theirs = peer.Swag(network.parameters(), pairs.RANK)
    for at_epoch in range(pairs.RANK + 2):
        # They differ a little, as those of successive epochs do.
        params = jax.tree.map(
            lambda leaf, by=1 + 0.001 * at_epoch: leaf * by, at.variables["params"]
        )
        ours = update(ours, params)
        peer.load(network, at.variables | {"params": params})
        theirs.update()
    return ours, theirs, network


def swag_update(scale):
    """Folds a snapshot into the posterior, its buffers donated; 20 in a row."""
    theirs = peer.Swag(pairs.twin().parameters(), pairs.RANK)
    return _update(swag.update, posteriors()[0], theirs.update)


def swa_update(scale):
    """Folds a snapshot into the mean, against `torch.optim.swa_utils`; 20 in a row."""
    network = pairs.twin()
    averaged = torch.optim.swa_utils.AveragedModel(network)
    return _update(
        swa.update,
        swa.init(shared().variables["params"]),
        lambda: averaged.update_parameters(network),
    )


def _update(function, state, torch_update, times=20):
    update = jax.jit(function, donate_argnums=0)
    state, params = jax.tree.map(jnp.copy, (state, shared().variables["params"]))

    def call():
        nonlocal state
        for _ in range(times):
            state = update(state, params)
        return state

    def torch_side():
        for _ in range(times):
            torch_update()

    return pairs.Pair(times, "updates", {"ltjax": ready(call), "torch": torch_side})


def draws(scale):
    """Draws M = 10 sets of weights."""
    ours, theirs, _ = posteriors()
    keys = jax.random.split(jax.random.key(2), DRAWS)
    sample = jax.jit(
        lambda keys, state: jax.lax.map(lambda key: swag.sample(key, state), keys)
    )

    def torch_side():
        for _ in range(DRAWS):
            theirs.sample()

    sides = {"ltjax": ready(lambda: sample(keys, ours)), "torch": torch_side}
    return pairs.Pair(DRAWS, "draws", sides)


def refresh(scale):
    """Batch-norm statistics of 1 + 10 sets of weights, draws included."""
    at, (ours, theirs, network) = shared(), posteriors()
    images, size = at.images[: scale.refresh_images], scale.refresh_batch
    members = extractor.make(jax.random.key(3), DRAWS, 1.0)
    draw = extractor.features_of(extractor.whole(swag.sample))
    run = jax.jit(extractor.make_refresh(draw, at.net, normalise, size, 1))
    on_device = jnp.asarray(images)
    batches = torch.from_numpy(images).split(size)

    def torch_side():
        for _ in range(SETS):
            theirs.sample()
            torch.optim.swa_utils.update_bn(batches, network.features)

    features = {name: tree["features"] for name, tree in at.variables.items()}

    @jax.jit
    def forward(variables, images):
        x = normalise(images)
        return at.net.features.apply(variables, x, train=True, mutable=["batch_stats"])

    pieces = [jnp.asarray(batch) for batch in batches]
    sides = {
        "ltjax": ready(lambda: run(ours, members, on_device)),
        "torch": torch_side,
        f"{SETS} forward passes": ready(
            lambda: [forward(features, x) for _ in range(SETS) for x in pieces]
        ),
    }
    return pairs.Pair(SETS * len(images), "images", sides)
