"""How a backbone sees the images: features under its mean weights and every draw."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from ltjax.data import streamed
from ltjax.posterior import members as extractors
from ltjax.runtime import devices, hosts
from ltjax.stages import bank, memory, metadata
from ltjax.stages import system as systems
from ltjax.stages.loader import unlabelled


class Features(NamedTuple):
    """Features of one backbone; member 0 is the mean, the others are draws.

    Those of E experts are [..., E, D]. All on one device, as heads are small, or, where
    it has no room, in NumPy arrays: in memory, or mapped from files.
    """

    head: dict  # the linear classifier of stage one
    plain: jax.Array | np.ndarray  # [N, D], training images as tested, mean weights
    test: jax.Array | np.ndarray  # [M + 1, N, D]
    view: Callable  # (epoch, draws) -> [M + 1, N, D], or [1, N, D] without draws
    validation: Any = None  # [M + 1, N, D] of the images that are held out, or None
    heads: Any = None  # with draws: every member's own stage-one head, [M + 1, ...]
    # [M + 1, N, D] of the test images without what is known beside them, or None where
    # a network takes nothing of that.
    absent: Any = None


class Taking(NamedTuple):
    """Weights, and the programs that run them."""

    weights: Any  # the posterior, less what its members have already
    members: Any
    passes: Any  # a `loader.Passes`
    heads: Callable  # (weights, members) -> every member's own head


def take(backbone, weights, system, loader, folder, settings):
    """The features of a `Backbone` with the posterior `weights`.

    Batch-norm statistics are re-estimated for every member on the training images.
    `settings` is a run's config: of it are read the parts about the posterior, about
    the views that are kept for classifiers, one bank of them or fresh ones in each
    epoch, and about where deviations lie.
    """
    name, views = backbone.name, bank.views(settings)
    net = systems.network(system, system.fixed)
    head = devices.local(net.head.linear(weights.mean["head"]))
    blind = system.masking is not None
    room = _room(backbone, head, loader, settings, blind)
    taking = _taking(backbone, weights, system, loader, settings, room)
    splits = loader.train, loader.test, loader.validation
    images, tested, held_out = (split and unlabelled(split) for split in splits)
    if not _streamed(images):
        images, tested, held_out = devices.whole((images, tested, held_out))
    some = images
    if settings.posterior.images is not None:
        rows = streamed.spaced(len(images["image"]), settings.posterior.images)
        some = {column: images[column][rows] for column in images}
    entries = 3 + blind + (backbone.draws > 0) + (held_out is not None) + (views or 0)
    with folder.stage(f"features {name}", entries) as done:
        stats, heads = _kept(backbone, taking, folder, some, done)
        everyone = taking.weights, taking.members, stats
        mean = (taking.weights, *map(extractors.first, everyone[1:]))
        held = bank.Bank(folder, name, room, settings.classifier.bank)

        def made(what, who, images, number=None, dtype="float32"):
            shape = taking.passes.shape(*who, images)
            like = jax.ShapeDtypeStruct(shape, dtype)
            parts = partial(taking.passes.features, *who, images, number)
            array = held.get(what, like, parts)
            done()
            return array

        plain = made("plain", mean, images)[0]
        test = made("test", everyone, tested)
        absent = made("absent", everyone, metadata.without(tested)) if blind else None
        validation = held_out and made("validation", everyone, held_out)
        dtype = settings.classifier.bank_dtype
        of_views = [
            made(f"view{number}", everyone, images, number, dtype)
            for number in range(views or 0)
        ]

    def view(epoch, draws):
        if of_views:
            seen = of_views[epoch % len(of_views)]
            return seen if draws else seen[:1]
        who = everyone if draws else mean
        parts = taking.passes.features(*who, images, epoch)
        return bank.joined(parts, taking.passes.shape(*who, images), room)

    return Features(head, plain, test, view, validation, heads, absent)


def _room(backbone, head, loader, settings, blind):
    """Whether a device has room for all features at once."""
    held = loader.validation
    kept = memory.features(
        head["kernel"].shape[:-1],
        backbone.draws,
        len(loader.labels),
        len(loader.tested) * (1 + blind) + (len(held["label"]) if held else 0),
        bank.views(settings),
        settings.classifier.bank_dtype,
    )
    # All processes run the same programs.
    return hosts.gathered(memory.device_has_room(kept))[0]


def _kept(backbone, taking, folder, images, done):
    """Statistics of every member and, with draws, its own head: small, and kept."""
    name = backbone.name
    cache = folder.cache(f"features/{name}")

    def kept(what, compute, *args):
        def make():
            begin = time.monotonic()
            tree = jax.block_until_ready(compute(*args))
            seconds = time.monotonic() - begin
            event = {"event": "features", "name": f"{name}/{what}"}
            folder.event(**event, stage="features", seconds=seconds)
            return tree, None

        # Streamed, it is a loop over batches, which no shapes can be run through.
        shapes = None if _streamed(images) else partial(jax.eval_shape, compute, *args)
        tree, _ = cache.get(what, make, shapes)
        done()
        return tree

    who = taking.weights, taking.members
    stats = devices.whole(kept("batch_stats", taking.passes.refresh, *who, images))
    heads = None
    if backbone.draws:
        heads = devices.local(kept("heads", taking.heads, *who))
    cache.close()
    return stats, heads


def _taking(backbone, weights, system, loader, settings, room):
    """The `Taking` of a backbone, its draws one by one where deviations lie on hosts.

    `room` is whether a device has some for all features at once.
    """
    posterior = settings.posterior
    key = jax.random.clone(loader.keys.members)
    members = extractors.make(key, backbone.draws, posterior.scale)
    large = backbone.deviations if settings.swa.place == "host" else None
    on_host = large is not None
    if on_host:
        whole = extractors.whole_of_parts(large.assemble)
    else:
        whole = extractors.whole(backbone.sample)
    net = systems.network(system, system.fixed)
    heads = jax.jit(
        extractors.make_heads(whole, net), out_shardings=devices.everywhere()
    )
    extractor = systems.extractor(system, extractors.features_of(whole))
    passes = loader.passes(extractor, alone=on_host, whole=room)
    if on_host:
        members = extractors.parts(weights, members, large.low_ranks)
        weights = weights.replace(deviations=())
        passes = passes._replace(refresh=extractors.one_by_one(passes.refresh, 1))
        heads = extractors.one_by_one(heads, 1)
    return Taking(weights, members, passes, heads)


def _streamed(batch):
    """Whether the images of a batch are decoded when they are needed."""
    return not isinstance(batch["image"], jax.Array)
