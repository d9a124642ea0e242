"""How a backbone sees the images: features under its mean weights and every draw."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ltjax.data import streamed
from ltjax.posterior import members as extractor
from ltjax.runtime import devices, hosts, progress
from ltjax.stages import backbone, bank, memory, passes
from ltjax.workdir.cache import Cache


class Features(NamedTuple):
    """Features of one backbone; member 0 is the mean, the others are draws.

    Those of E experts are [..., E, D]. All on one device, as heads are small, or, where
    it has no room, in NumPy arrays: in memory, or mapped from files.
    """

    plain: jax.Array | np.ndarray  # [N, D], training images as tested, mean weights
    test: jax.Array | np.ndarray  # [M + 1, N, D]
    view: Callable  # (epoch, draws) -> [M + 1, N, D], or [1, N, D] without draws
    heads: Any = None  # with draws: every member's own stage-one head, [M + 1, ...]


def take(session, name, weights):
    """The looks of the backbone `name`.

    `weights` are a point's parameters for "sgd" and a `swag.State` for "swa".
    Batch-norm statistics are re-estimated for every member on the training images. A
    bank of `classifier.views` augmented views is kept; without one, each epoch has its
    own.
    """
    posterior = session.config.posterior
    draw = extractor.of_point if name == "sgd" else extractor.of_swag
    samples = 0 if name == "sgd" else posterior.samples
    members = extractor.make(
        jax.random.clone(session.keys.members), samples, posterior.scale
    )

    on_host = name == "swa" and session.config.swa.place == "host"
    whole = extractor.whole_of_parts if on_host else extractor.whole_of_swag
    heads_of = jax.jit(
        extractor.make_heads(whole, session.net), out_shardings=devices.everywhere()
    )
    views = bank.views(session.config)
    room = memory.device_has_room(_bytes(session, weights, samples, views))
    room = hosts.gathered(room)[0]  # all processes run the same programs
    kind = passes.streamed if session.streams else partial(passes.resident, whole=room)
    refresh, features, shape = kind(
        session, extractor.of_parts if on_host else draw, alone=on_host
    )
    if on_host:
        members = extractor.parts(weights, members)
        weights = weights.replace(deviations=())
        refresh, heads_of = one_by_one(refresh, 1), one_by_one(heads_of, 1)
    images, test_images = session.train["image"], session.test["image"]
    if not session.streams:
        images, test_images = devices.whole((images, test_images))
    some = images
    if posterior.images is not None:
        some = images[streamed.spaced(len(images), posterior.images)]
    shelf = Cache(session, f"features/{name}")
    entries = 3 + (samples > 0) + (views or 0)
    with progress.stage(session.console, f"features {name}", entries) as done:

        def kept(what, compute, *args):
            def make():
                begin = time.monotonic()
                tree = jax.block_until_ready(compute(*args))
                seconds = time.monotonic() - begin
                event = {"event": "features", "name": f"{name}/{what}"}
                session.writer.write({**event, "stage": "features", "seconds": seconds})
                return tree, None

            # Streamed, it is a loop over batches, which no shapes can be run through.
            like = None if session.streams else partial(jax.eval_shape, compute, *args)
            tree, _ = shelf.get(what, make, like)
            done()
            return tree

        stats = devices.whole(kept("batch_stats", refresh, weights, members, some))
        everyone = (weights, members, stats)
        mean = (weights, extractor.first(members), extractor.first(stats))
        heads = None
        if samples:
            heads = devices.local(kept("heads", heads_of, weights, members))
        shelf.close()
        held = bank.Bank(session, name, room)

        def made(what, who, images, number=None, dtype="float32"):
            like = jax.ShapeDtypeStruct(shape(*who, images), dtype)
            array = held.get(what, like, partial(features, *who, images, number))
            done()
            return array

        plain = made("plain", mean, images)[0]
        test = made("test", everyone, test_images)
        dtype = session.config.classifier.bank_dtype
        of_views = [
            made(f"view{number}", everyone, images, number, dtype)
            for number in range(views or 0)
        ]

    def view(epoch, draws):
        if of_views:
            seen = of_views[epoch % len(of_views)]
            return seen if draws else seen[:1]
        who = everyone if draws else mean
        return bank.joined(features(*who, images, epoch), shape(*who, images), room)

    return Features(plain, test, view, heads)


def _bytes(session, weights, samples, views):
    """Those of all features that the looks hold."""
    config, data = session.config, session.data
    params = getattr(weights, "mean", weights)
    return memory.features(
        backbone.inputs(config.model, data.classes, params),
        samples,
        len(data.train.label),
        len(data.test.label),
        views,
        config.classifier.bank_dtype,
    )


def one_by_one(compute, leading):
    """`compute` of many members, which come from the host's memory one after another.

    Of the arguments of `compute(weights, *of_members, *others)` the `leading` ones
    after the weights, and all it returns, have a leading axis M.
    """

    def each(weights, *rest):
        members, others = rest[:leading], rest[leading:]

        def of(number):
            return compute(weights, *extractor.at(members, number), *others)

        count = len(jax.tree.leaves(members)[0])
        found = [of(number) for number in range(count)]
        return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *found)

    return each
