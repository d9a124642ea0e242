"""How a backbone sees the images: features under its mean weights and every draw."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ltjax import devices, extractor, passes
from ltjax.data import pictures
from ltjax.report import progress
from ltjax.shelf import Shelf


class Looks(NamedTuple):
    """Features of one backbone; member 0 is the mean, the others are draws.

    Those of E experts are [..., E, D]. All on one device, as heads are small; of
    streamed images in the host's memory.
    """

    plain: jax.Array  # [N, D], training images without augmentation, mean weights
    test: jax.Array  # [M + 1, N, D]
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
    members = extractor.members(
        jax.random.clone(session.keys.members), samples, posterior.scale
    )

    kind = passes.streamed if session.streams else passes.resident
    on_host = name == "swa" and session.config.swa.place == "host"
    refresh, features = kind(session, extractor.of_parts if on_host else draw)
    whole = extractor.whole_of_parts if on_host else extractor.whole_of_swag
    heads_of = jax.jit(
        extractor.make_heads(whole, session.net), out_shardings=devices.everywhere()
    )
    if on_host:
        members = extractor.parts(weights, members)
        weights = weights.replace(deviations=())
        refresh, features = one_by_one(refresh, 1), one_by_one(features, 2)
        heads_of = one_by_one(heads_of, 1)
    images, test_images = session.train["image"], session.test["image"]
    # What is streamed stays on the host, in features too.
    here = np.asarray if session.streams else devices.local
    if not session.streams:
        images, test_images = devices.whole((images, test_images))
    some = images
    if posterior.images is not None:
        some = images[pictures.spaced(len(images), posterior.images)]
    views = session.config.classifier.views
    if views is not None:
        # More would be the same again.
        data = session.config.data
        names = "pad", "flip", "rotate", "policy", "cutout", "crop_area", "jitter"
        augments = any(getattr(data, name) for name in names)
        views = min(views, session.config.classifier.epochs) if augments else 1
    shelf = Shelf(session, f"features/{name}")
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
        plain = here(kept("plain", features, *mean, images))[0]
        test = here(kept("test", features, *everyone, test_images))
        heads = None
        if samples:
            heads = devices.local(kept("heads", heads_of, weights, members))
        bank = [
            here(kept(f"view{number}", features, *everyone, images, number))
            for number in range(views or 0)
        ]
    shelf.close()

    def view(epoch, draws):
        if bank:
            seen = bank[epoch % len(bank)]
            return seen if draws else seen[:1]
        who = everyone if draws else mean
        return here(features(*who, images, epoch))

    return Looks(plain, test, view, heads)


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
