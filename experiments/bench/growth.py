"""How seconds, memory and compile time of ltjax grow with N, M, K, C and the model."""

import time

import jax
import jax.numpy as jnp
import numpy as np

from bench import harness
from ltjax import config, losses
from ltjax.classifier import heads, linear
from ltjax.data import longtail
from ltjax.data.augment import geometry
from ltjax.evaluation import scores
from ltjax.evaluation.tally import tally
from ltjax.posterior import members as extractor
from ltjax.posterior import swag
from ltjax.representation import epoch, schedule, step

REPEATS = 3
RNG = np.random.default_rng(0)


def axes():
    """Builds {what over what: function of a size, a point of its curve}, and sizes."""
    members, ranks = (1, 2, 4, 8), (5, 10, 20, 40)
    return {
        "refresh over M": (lambda m: _refresh(members=m), members),
        "refresh over N": (lambda n: _refresh(images=n), (256, 512, 1024, 2048)),
        "features over M": (lambda m: _features(members=m), members),
        "features over N": (lambda n: _features(images=n), (256, 512, 1024, 2048)),
        "swag.update over K": (_update, ranks),
        "swag.sample over K": (_sample, ranks),
        "evaluation over N": (lambda n: _evaluation(n, 100), (2000, 4000, 8000, 16000)),
        "evaluation over C": (lambda c: _evaluation(4000, c), (10, 30, 100, 300)),
        "train step over depth": (_train_step, (8, 14, 20, 32)),
    }


def curve(point, sizes):
    """The points at `sizes`, and the slope of each quantity, log over log.

    A slope of 0 is flat and 1 proportional; None where a quantity is 0 somewhere.
    """
    points = [{"size": size, **point(size)} for size in sizes]
    slopes = {}
    for name in points[0].keys() - {"size"}:
        values = [found[name] for found in points]
        slopes[name] = slope(sizes, values) if min(values) > 0 else None
    return {"points": points, "slopes": dict(sorted(slopes.items()))}


def slope(sizes, values):
    """Least-squares slope of log(values) over log(sizes)."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def _compiled(function, *args, donate=()):
    begin = time.perf_counter()
    compiled = jax.jit(function, donate_argnums=donate).lower(*args).compile()
    seconds = time.perf_counter() - begin
    memory = compiled.memory_analysis()
    return compiled, {
        "compile_seconds": seconds,
        "temporary_bytes": memory.temp_size_in_bytes,
        "output_bytes": memory.output_size_in_bytes,
    }


def _seconds(call):
    _, times, _ = harness.by_turns({"ltjax": harness.ready(call)}, REPEATS)
    return float(np.median(times["ltjax"]))


def _point(function, *args):
    compiled, found = _compiled(function, *args)
    return {"seconds": _seconds(lambda: compiled(*args)), **found}


def _carried(function, carry, *args):
    """As `_point` for a carry that is donated, and replaced by the first output."""
    carry = jax.tree.map(jnp.copy, carry)
    compiled, found = _compiled(function, carry, *args, donate=0)

    def call():
        nonlocal carry
        carry = compiled(carry, *args)
        return carry

    return {"seconds": _seconds(call), **found}


def _normalise(images):
    return geometry.normalise(images, (0.5,) * 3, (0.25,) * 3)


def _network(depth, classes=100):
    net = config.CifarResNet(depth=depth).make(classes)
    return net, net.init(jax.random.key(0), jnp.zeros((1, 32, 32, 3)))


def _images(count):
    return jnp.asarray(RNG.integers(0, 256, (count, 32, 32, 3), np.uint8))


_DRAW = extractor.features_of(extractor.whole(swag.sample))


def _posterior(depth, rank):
    net, variables = _network(depth)
    return net, variables, swag.init(variables["params"], rank)


def _refresh(members=2, images=512):
    net, _, posterior = _posterior(8, 20)
    run = extractor.make_refresh(_DRAW, net, _normalise, 256, 1)
    names = extractor.make(jax.random.key(1), members - 1, 1.0)
    return _point(run, posterior, names, _images(images))


def _features(members=2, images=512):
    net, variables, posterior = _posterior(8, 20)
    run = extractor.make_features(_DRAW, net, _normalise, 256, 1)
    names = extractor.make(jax.random.key(1), members - 1, 1.0)
    stats = jax.tree.map(
        lambda leaf: jnp.stack([leaf] * members), variables["batch_stats"]["features"]
    )
    return _point(run, posterior, names, stats, _images(images))


def _update(rank):
    _, variables, posterior = _posterior(32, rank)
    return _carried(swag.update, posterior, variables["params"])


def _sample(rank):
    _, _, posterior = _posterior(32, rank)
    return _point(swag.sample, jax.random.key(1), posterior)


def _evaluation(images, classes):
    features = jnp.asarray(RNG.normal(size=(1, images, 64)), jnp.float32)
    labels = np.arange(images) % classes
    params = linear.init(jax.random.key(1), 64, classes)
    log_probs = heads.one_pass(linear.logits, params)
    counts = np.full(classes, 10)
    # Scores are summed over batches, whose size bounds the memory whatever N is.
    batch = features[:, :1000]
    _, found = _compiled(
        lambda z, y, mask: tally(log_probs(z), y, mask),
        batch,
        labels[:1000],
        np.ones(1000, bool),
    )
    seconds = _seconds(
        lambda: scores.score(log_probs, features, labels, longtail.groups(counts))
    )
    return {"seconds": seconds, **found}


def _train_step(depth):
    net, variables = _network(depth)
    tx = schedule.sgd(0.01, 0.9, 5e-4)
    run = epoch.make_epoch(
        step.make_step(net.apply, losses.cross_entropy, tx),
        epoch.of_images(lambda key, images: _normalise(images)),
        lambda posterior, state: (),
    )
    keys = tuple(jax.random.split(jax.random.key(1)))
    data = {"image": _images(256), "label": jnp.arange(256) % 100}
    rows = jnp.arange(256).reshape(2, 128)
    return _carried(
        lambda carry, data, rows: run(keys, carry, data, rows)[0],
        (step.init(variables, tx), ()),
        data,
        rows,
    )
