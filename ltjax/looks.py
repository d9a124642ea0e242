"""How a backbone sees the images: features under its mean weights and every draw."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax

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
    frozen = jax.device_put(session.pretrained.frozen, everywhere)
    refresh = jax.jit(refresh_of, out_shardings=everywhere)
    features = jax.jit(features_of, out_shardings=everywhere)
    augmented = jax.jit(
        lambda images, number: session.augment(
            jax.random.fold_in(session.keys.views, number), images
        )
    )
    images, test_images = jax.device_put(
        (session.train["image"], session.test["image"]), everywhere
    )
    views = session.config.classifier.views
    if views is not None:
        # More would be the same again.
        augments = session.config.data.pad > 0 or session.config.data.flip
        views = min(views, session.config.classifier.epochs) if augments else 1
    with progress.stage(session.console, f"features {name}", 3 + (views or 0)) as done:

        def kept(what, compute, *args):
            tree = session.kept(f"features/{name}/{what}", compute, frozen, *args)
            done()
            return tree

        stats = kept("batch_stats", refresh, weights, members, images)
        everyone = (weights, members, stats)
        mean = (weights, extractor.first(members), extractor.first(stats))
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
        return devices.local(features(frozen, *who, augmented(images, epoch)))

    return Looks(plain, test, view)
