"""The two kinds of passes over all images, on the device or streamed to it.

Each gives `refresh(weights, members, images) -> batch_stats`, of the images augmented
as stage one saw them, and `features(weights, members, batch_stats, images, number) ->
[M + 1, N, D]`: of the images as they are tested, or, with a number, of that augmented
view of them.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import numpy as np

from ltjax import devices, epochs, extractor
from ltjax.data import stream


class Passes(NamedTuple):
    """The functions of a kind."""

    refresh: Callable
    features: Callable


def resident(session, draw):
    """Passes of one compiled scan each, whose features stay on the device."""
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

    seen = jax.jit(lambda images: session.seen(session.keys.statistics, images))

    def refresh(weights, members, images):
        return refresh_all(frozen, weights, members, seen(images))

    def features(weights, members, batch_stats, images, number=None):
        if number is not None:
            images = view(images, number)
        return features_all(frozen, weights, members, batch_stats, images)

    return Passes(refresh, features)


def streamed(session, draw):
    """Passes over batches as they are decoded; features go to the host's memory."""
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
        parts = _one_late(
            partial(features_batch, frozen, weights, members, batch_stats),
            sent(stream.in_order(images, rows, posterior.batch_size, words)),
        )
        bank, done = None, 0
        for part in map(devices.local, parts):
            part = np.asarray(part)
            if bank is None:
                shape = len(part), len(images), *part.shape[2:]
                bank = np.empty(shape, part.dtype)
            bank[:, done : done + part.shape[1]] = part
            done += part.shape[1]
        return bank

    return Passes(refresh, features)


def _prepare(session, frozen, images):
    images = devices.spread(session.normalise(images))
    return session.pretrained.trunk(frozen, images)


def _one_late(compute, batches):
    """compute(batch) of each batch, given out when the next one has been started on."""
    last = None
    for batch in batches:
        result = compute(batch)
        if last is not None:
            yield last
        last = result
    yield last
