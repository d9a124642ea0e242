"""How a backbone sees the images: features under its mean weights and every draw."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

from ltjax import devices, extractor, passes
from ltjax.data import pictures
from ltjax.report import progress


class Looks(NamedTuple):
    """Features of one backbone; member 0 is the mean, the others are draws.

    All on one device, as heads are small; of streamed images in the host's memory.
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

    kind = passes.streamed if session.streams else passes.resident
    refresh, features = kind(session, draw)
    images, test_images = session.train["image"], session.test["image"]
    # What is streamed stays on the host, in features too.
    here, everywhere = np.asarray, devices.everywhere()
    if not session.streams:
        images, test_images = jax.device_put((images, test_images), everywhere)
        here = devices.local
    some = images
    if posterior.images is not None:
        some = images[pictures.spaced(len(images), posterior.images)]
    views = session.config.classifier.views
    if views is not None:
        # More would be the same again.
        data = session.config.data
        augments = data.pad or data.flip or data.crop_area or data.jitter
        views = min(views, session.config.classifier.epochs) if augments else 1
    with progress.stage(session.console, f"features {name}", 3 + (views or 0)) as done:

        def kept(what, compute, *args):
            tree = session.kept(f"features/{name}/{what}", compute, *args)
            done()
            return tree

        stats = kept("batch_stats", refresh, weights, members, some)
        stats = jax.device_put(stats, everywhere)  # what was saved lies on one device
        everyone = (weights, members, stats)
        mean = (weights, extractor.first(members), extractor.first(stats))
        plain = here(kept("plain", features, *mean, images))[0]
        test = here(kept("test", features, *everyone, test_images))
        bank = [
            here(kept(f"view{number}", features, *everyone, images, number))
            for number in range(views or 0)
        ]

    def view(epoch, draws):
        if bank:
            seen = bank[epoch % len(bank)]
            return seen if draws else seen[:1]
        who = everyone if draws else mean
        return here(features(*who, images, epoch))

    return Looks(plain, test, view)
