"""How far apart the two class tokens of a transformer are, on the test images."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from ltjax.evaluation import diversity
from ltjax.runtime import devices
from ltjax.stages import system as systems

_IMAGES = 1000  # of which the ranks are taken, evenly spaced
_AT_ONCE = 100


def told(system, weights, seen, loader):
    """What `classes.json` says of a backbone's tokens, or None of other networks.

    `cosine` [C], the mean over each class's test images, None without any; and `ranks`,
    for each token those of its features after every block (see `diversity.rank`), where
    the whole network trains on images in memory.
    """
    body = system.net.features
    if getattr(body, "tokens", 1) < 2:
        return None
    features = np.asarray(seen.test[0], np.float32)
    every = diversity.cosine(features[:, 0], features[:, 1])
    classes = len(loader.index.counts)
    sums = np.bincount(loader.tested, every, classes)
    counts = np.bincount(loader.tested, minlength=classes)
    cosines = [s / n if n else None for s, n in zip(sums.tolist(), counts.tolist())]
    found = {"cosine": cosines}
    images = loader.test["image"]
    whole = not system.fixed.get("params") and not body.first
    if whole and isinstance(images, jax.Array) and system.net.takes == ("image",):
        count = min(_IMAGES, len(images))
        count -= count % min(_AT_ONCE, count)  # all parts are equal
        rows = np.linspace(0, len(images) - 1, count).astype(int)
        after = _blocks(system, body, weights.mean["features"], images, rows)
        found["ranks"] = [
            [diversity.rank(after[:, block, token]) for block in range(after.shape[1])]
            for token in range(after.shape[2])
        ]
    return found


def _blocks(system, body, params, images, rows):
    """The class tokens of some images after every block, [n, depth, tokens, D]."""

    @partial(jax.jit, out_shardings=devices.everywhere())
    def run(fixed, params, images):
        x, after = systems.inputs(system, fixed, {"image": images}), []
        for part in range(body.parts - 1):
            x = body.copy(first=part, last=part + 1).apply({"params": params}, x)
            after.append(x[:, : body.tokens])
        return jnp.stack(after[1:], 1).astype(jnp.float32)

    fixed, params = devices.whole((system.fixed, params))
    parts = np.split(rows, -(-len(rows) // _AT_ONCE))
    found = [run(fixed, params, devices.whole(images[part])) for part in parts]
    return np.concatenate([np.asarray(devices.local(part)) for part in found])
