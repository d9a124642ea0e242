"""How a backbone sees the images: features under its mean weights and every draw."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from ltjax import devices, extractor
from ltjax.report import progress


class Looks(NamedTuple):
    """Features of one backbone; member 0 is the mean, the others are draws.

    All on one device: heads are small.
    """

    plain: jax.Array  # [N, D], training images without augmentation, mean weights
    test: jax.Array  # [M + 1, N, D]
    view: Callable  # (epoch, draws) -> [M + 1, N, D], or [1, N, D] without draws


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

    def prepare(frozen, images):
        images = devices.spread(session.normalise(images))
        return session.pretrained.trunk(frozen, images)

    def refresh_of(frozen, *args):
        return extractor.make_refresh(
            draw,
            session.net,
            partial(prepare, frozen),
            posterior.batch_size,
            posterior.chunk,
        )(*args)

    def features_of(frozen, *args):
        return extractor.make_features(
            draw,
            session.net,
            partial(prepare, frozen),
            posterior.chunk,
        )(*args)

    everywhere = devices.everywhere()
    frozen = devices.whole(session.pretrained.frozen)
    refresh, features = (
        jax.jit(compute, out_shardings=everywhere)
        for compute in (refresh_of, features_of)
    )
    if name == "swa" and session.config.swa.place == "host":
        draw = extractor.of_parts
        members = extractor.parts(weights, members)
        weights = weights.replace(deviations=())
        refresh, features = one_by_one(refresh), one_by_one(features)
    augmented = jax.jit(
        lambda images, number: session.augment(
            jax.random.fold_in(session.keys.views, number), images
        )
    )
    images, test_images = devices.whole((session.train["image"], session.test["image"]))
    views = session.config.classifier.views
    if views is not None:
        # More would be the same again.
        augments = session.config.data.pad > 0 or session.config.data.flip
        views = min(views, session.config.classifier.epochs) if augments else 1
    with progress.stage(session.console, f"features {name}", 3 + (views or 0)) as done:

        def kept(what, compute, *args):
            tree = session.kept(f"features/{name}/{what}", compute, *args)
            done()
            return tree

        stats = kept("batch_stats", refresh, frozen, weights, members, images)
        everyone = (frozen, weights, members, stats)
        mean = (frozen, weights, extractor.first(members), extractor.first(stats))
        plain = devices.local(kept("plain", features, *mean, images))[0]
        test = devices.local(kept("test", features, *everyone, test_images))
        bank = [
            devices.local(
                kept(f"view{number}", features, *everyone, augmented(images, number))
            )
            for number in range(views or 0)
        ]

    def view(epoch, draws):
        if bank:
            seen = bank[epoch % len(bank)]
            return seen if draws else seen[:1]
        who = everyone if draws else mean
        return devices.local(features(*who, augmented(images, epoch)))

    return Looks(plain, test, view)


def one_by_one(compute):
    """`compute` of many members, which come from the host's memory one after another.

    `compute(frozen, weights, *members, images)`; members and all it returns have a
    leading axis M.
    """

    def each(frozen, weights, *rest):
        *members, images = rest

        def of(number):
            return compute(frozen, weights, *extractor.at(members, number), images)

        count = len(jax.tree.leaves(members)[0])
        found = [of(number) for number in range(count)]
        return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *found)

    return each
