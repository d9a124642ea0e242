"""How seconds, memory and compile time of ltjax grow with N, M, K, C and the model."""

import jax
import jax.numpy as jnp
import numpy as np

from bench import harness, shared
from ltjax.classifier import heads, linear
from ltjax.data import longtail
from ltjax.evaluation import scores
from ltjax.evaluation.tally import tally
from ltjax.posterior import members as extractor
from ltjax.posterior import swag

REPEATS = 3
_DRAW = extractor.features_of(extractor.whole(swag.sample))


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
    program, seconds, memory = harness.compiled(function, *args, donate=donate)
    return program, {
        "compile_seconds": seconds,
        "temporary_bytes": memory.temp_size_in_bytes,
        "output_bytes": memory.output_size_in_bytes,
    }


def _point(function, *args):
    program, found = _compiled(function, *args)
    return {"seconds": harness.median(lambda: program(*args), REPEATS), **found}


def _carried(function, carry, *args):
    """As `_point` for a carry that is donated, and replaced by the output."""
    carry = jax.tree.map(jnp.copy, carry)
    program, found = _compiled(function, carry, *args, donate=0)

    def call():
        nonlocal carry
        carry = program(carry, *args)
        return carry

    return {"seconds": harness.median(call, REPEATS), **found}


def _posterior(depth, rank):
    net, variables = shared.network(depth)
    return net, variables, swag.init(variables["params"], rank)


def _refresh(members=2, images=512):
    net, _, posterior = _posterior(8, 20)
    run = extractor.make_refresh(_DRAW, net, shared.normalise, 256, 1)
    names = extractor.make(jax.random.key(1), members - 1, 1.0)
    return _point(run, posterior, names, shared.shared().images[:images])


def _features(members=2, images=512):
    net, variables, posterior = _posterior(8, 20)
    run = extractor.make_features(_DRAW, net, shared.normalise, 256, 1)
    names = extractor.make(jax.random.key(1), members - 1, 1.0)
    stats = jax.tree.map(
        lambda leaf: jnp.stack([leaf] * members), variables["batch_stats"]["features"]
    )
    return _point(run, posterior, names, stats, shared.shared().images[:images])


def _update(rank):
    _, variables, posterior = _posterior(32, rank)
    return _carried(swag.update, posterior, variables["params"])


def _sample(rank):
    _, _, posterior = _posterior(32, rank)
    return _point(swag.sample, jax.random.key(1), posterior)


def _evaluation(images, classes):
    rng = np.random.default_rng(0)
    features = jnp.asarray(rng.normal(size=(1, images, 64)), jnp.float32)
    labels = np.arange(images) % classes
    params = linear.init(jax.random.key(1), 64, classes)
    log_probs = heads.one_pass(linear.logits, params)
    by_group = longtail.groups(np.full(classes, 10))
    # Scores are summed over batches, whose size bounds the memory whatever N is.
    batch = features[:, :1000], labels[:1000], np.ones(1000, bool)
    _, found = _compiled(lambda z, y, mask: tally(log_probs(z), y, mask), *batch)

    def call():
        return scores.score(log_probs, features, labels, by_group)

    return {"seconds": harness.median(call, REPEATS), **found}


def _train_step(depth):
    run, carry, data = shared.started(
        *shared.network(depth), lambda posterior, state: ()
    )
    keys = tuple(jax.random.split(jax.random.key(1)))
    rows = jnp.arange(2 * shared.BATCH).reshape(2, shared.BATCH)
    return _carried(
        lambda carry, data, rows: run(keys, carry, data, rows)[0], carry, data, rows
    )
