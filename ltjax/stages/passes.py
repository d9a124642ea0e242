"""The two kinds of passes over all images, on the device or streamed to it.

Each gives `refresh(weights, members, images) -> batch_stats`, of the images augmented
as stage one saw them, and `features(weights, members, batch_stats, images, number)`: of
the images as they are tested, or, with a number, of that augmented view of them.
Features come in parts [M + 1, n, D], of images that follow each other. `shape(weights,
members, batch_stats, images)` is that of all.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ltjax.data import stream
from ltjax.posterior import members as extractor
from ltjax.runtime import devices
from ltjax.stages import epochs


class Passes(NamedTuple):
    """The functions of a kind."""

    refresh: Callable
    features: Callable
    shape: Callable


def resident(session, draw, whole=True, alone=False):
    """Passes over images on the device, of one compiled scan each.

    Features come in one part, or, unless `whole`, in batches. Where the members come
    from the host's memory, they are to be there `alone`, one after the other.
    """
    posterior, everywhere = session.config.posterior, devices.everywhere()
    frozen = devices.whole(session.pretrained.frozen)

    def refresh_of(frozen, *args):
        prepare = partial(_prepare, session, frozen)
        parts = draw, session.net, prepare, posterior.batch_size, posterior.chunk
        return extractor.make_refresh(*parts)(*args)

    def features_of(frozen, *args):
        prepare = partial(_prepare, session, frozen)
        parts = draw, session.net, prepare, posterior.batch_size, posterior.chunk
        return extractor.make_features(*parts)(*args)

    refresh_all, features_all = (
        jax.jit(compute, out_shardings=everywhere)
        for compute in (refresh_of, features_of)
    )
    view = jax.jit(
        lambda images, number: session.augment(
            jax.random.fold_in(session.keys.views, number), images
        )
    )

    seen = jax.jit(
        # Of both backbones they are of the same images.
        lambda images: session.seen(jax.random.clone(session.keys.statistics), images)
    )

    def refresh(weights, members, images):
        return refresh_all(frozen, weights, members, seen(images))

    def features(weights, members, batch_stats, images, number=None):
        if number is not None:
            images = view(images, number)
        batches = [images]
        if not whole:
            count, size = len(images), posterior.batch_size
            rows = np.array_split(np.arange(count), -(-count // size))
            batches = (images[some[0] : some[-1] + 1] for some in rows)
        compute = _of_members(partial(features_all, frozen, weights), alone)
        yield from _one_late(partial(compute, members, batch_stats), batches)

    return Passes(refresh, features, _shape(features_of, frozen))


def streamed(session, draw, alone=False):
    """Passes over batches as they are decoded, of which features are parts.

    `alone` is that of `resident`.
    """
    config, everywhere = session.config, devices.everywhere()
    posterior = config.posterior
    frozen = devices.whole(session.pretrained.frozen)

    def fold_of(frozen, *args):
        prepare = partial(_prepare, session, frozen)
        return extractor.make_fold(draw, session.net, prepare, posterior.chunk)(*args)

    def features_of(frozen, *args):
        prepare = partial(_prepare, session, frozen)
        parts = draw, session.net, prepare, posterior.batch_size, posterior.chunk
        return extractor.make_features(*parts)(*args)

    fold_batch, features_batch = (
        jax.jit(compute, out_shardings=everywhere) for compute in (fold_of, features_of)
    )

    def sent(batches):
        """Batches on the devices, whole on each: they need not divide a batch."""
        with stream.Reader(batches, config.data.workers) as reader:
            yield from map(devices.whole, reader)

    def refresh(weights, members, images):
        words, carry = epochs.words_of(session.keys.statistics, 0), None
        for batch in sent(stream.across(images, posterior.batch_size, words)):
            if carry is None:
                like = jax.eval_shape(fold_of, frozen, weights, members, None, batch)
                carry = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), like)
                carry = devices.whole(carry)
            # One batch is worked on while the next one is decoded, and no more.
            jax.block_until_ready(carry)
            carry = fold_batch(frozen, weights, members, carry, batch)
        return carry[1]

    def features(weights, members, batch_stats, images, number=None):
        words = None if number is None else epochs.words_of(session.keys.views, number)
        rows = np.arange(len(images))
        batches = sent(stream.in_order(images, rows, posterior.batch_size, words))
        compute = _of_members(partial(features_batch, frozen, weights), alone)
        yield from _one_late(partial(compute, members, batch_stats), batches)

    return Passes(refresh, features, _shape(features_of, frozen))


def _shape(features_of, frozen):
    """Builds `shape(weights, members, batch_stats, images)` of all features."""

    def shape(weights, members, batch_stats, images):
        one = jax.ShapeDtypeStruct((1, *images.shape[1:]), jnp.uint8)
        args = frozen, weights, members, batch_stats, one
        count, _, *rest = jax.eval_shape(features_of, *args).shape
        return count, len(images), *rest

    return shape


def _of_members(compute, alone):
    """`compute(members, batch_stats, images)` of all members, or of each `alone`."""
    if not alone:
        return compute

    def each(members, batch_stats, images):
        found = [
            compute(*extractor.at((members, batch_stats), number), images)
            for number in range(len(jax.tree.leaves(members)[0]))
        ]
        return jnp.concatenate(found)

    return each


def _prepare(session, frozen, images):
    images = devices.spread(session.normalise(images))
    return session.pretrained.trunk(frozen, images)


def _one_late(compute, batches):
    """compute(batch) of each batch, given out when the next one has been started on.

    As it lies on the first device here.
    """
    last = None
    for batch in batches:
        result = devices.local(compute(batch))
        if last is not None:
            yield last
        last = result
    yield last
