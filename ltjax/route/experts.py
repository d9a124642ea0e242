"""A row of a finished run as experts that are asked one after the other."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ltjax.classifier import router, routing
from ltjax.evaluation import cost, scaling
from ltjax.stages import trained
from ltjax.workdir import rows


class Cascade(NamedTuple):
    """E experts, a classifier for each; functions of the weights, to be compiled."""

    experts: int
    weights: Any
    shared: Callable  # (weights, images uint8 [B, H, W, ch]) -> what all experts take
    expert: Callable  # (weights, index, maps) -> features [B, D], logits [B, C]
    logits: Callable  # (weights, features [B, E, D]) -> [B, E, C]


def of_run(run, classifier, variant=""):
    """The `Cascade` of a classifier of a `trained.Trained` run of several experts.

    Raises `Mistake` for a row that the run does not have.
    """
    head, params = trained.head(run, classifier, variant)
    figures = rows.named(run.results)[rows.Row(run.backbone, classifier, variant)]
    # Of a mean of scaled logits and the scaled mean: they are the same.
    scaled = scaling.of_row(figures) or (lambda logits: logits)
    net, experts = run.net, len(head.experts)
    variables = {
        "params": trained.point(run)["features"],
        "batch_stats": jax.tree.map(lambda leaf: leaf[0], run.batch_stats),
    }

    def shared(weights, images):
        images = run.prepare(images)
        return net.features.apply(weights["features"], images, method="shared")

    def expert(weights, index, maps):
        features = net.features.apply(weights["features"], index, maps, method="expert")
        features = net.head.inputs(features)
        return features, classify(weights, index, features)

    def classify(weights, index, features):
        own = jax.tree.map(lambda leaf: leaf[index], weights["heads"])
        return scaled(head.experts[index].logits(own, features))

    def logits(weights, features):
        each = [classify(weights, i, features[:, i]) for i in range(experts)]
        return jnp.stack(each, axis=1)

    weights = jax.device_put({"features": variables, "heads": params})
    return Cascade(experts, weights, shared, expert, logits)


def make_routed(cascade, batch_size):
    """Builds `routed(weights, params, threshold, images) -> routing.Routed`, compiled.

    `params` are those of a `router`; images [N, ...] ask for another expert above a
    probability of `threshold`: always at 0, never at 1.
    """

    def routed(weights, params, threshold, images):
        least = jax.scipy.special.logit(threshold)

        def ask(index, features, mean_logits):
            return router.request(params, index, features, mean_logits) > least

        return routing.run(
            partial(cascade.shared, weights),
            partial(cascade.expert, weights),
            ask,
            cascade.experts,
            images,
            batch_size,
        )

    return jax.jit(routed)


def make_whole(cascade, batch_size):
    """Builds `whole(weights, images [N, ...]) -> logits [N, C]`, compiled.

    All experts see all images, in batches of `batch_size`.
    """

    def whole(weights, images):
        count = len(images)
        slots = jnp.arange(-(-count // batch_size) * batch_size)

        def see(rows):
            maps = cascade.shared(weights, images[rows])
            each = [
                cascade.expert(weights, index, maps)[1]
                for index in range(cascade.experts)
            ]
            return sum(each) / cascade.experts

        rows = jnp.minimum(slots, count - 1).reshape(-1, batch_size)
        found = jax.lax.map(see, rows)
        return found.reshape(-1, found.shape[-1])[:count]

    return jax.jit(whole)


def macs(cascade, params, image):
    """Multiply-accumulates of an image [H, W, ch] that 1, 2, ..., E experts see.

    Two lists: of the experts alone, and with what the router `params` makes on the way.
    The router is not asked after the last expert.
    """

    def see(used, asked, weights, params, images):
        maps, total, requests = cascade.shared(weights, images), 0, []
        for index in range(used):
            features, logits = cascade.expert(weights, index, maps)
            total = total + logits
            if index < asked:
                mean = total / (index + 1)
                requests.append(router.request(params, index, features, mean))
        return total, requests

    def of(used, asked):
        images = jax.ShapeDtypeStruct((1, *image), jnp.uint8)
        program = jax.make_jaxpr(partial(see, used, asked))
        return cost.macs(program(cascade.weights, params, images))

    numbers = range(1, cascade.experts + 1)
    alone = [of(used, 0) for used in numbers]
    return alone, [of(used, min(used, cascade.experts - 1)) for used in numbers]
