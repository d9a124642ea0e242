"""Epochs and passes over images that lie on the device, of one compiled scan each."""

import time
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from ltjax.data import sampling
from ltjax.posterior import members as extractors
from ltjax.representation import epoch
from ltjax.runtime import devices
from ltjax.stages.loader import (
    Epochs,
    Passes,
    Piece,
    Ruler,
    arrays,
    columns,
)


class Resident:
    """The `loader.Loader` of a data set in memory."""

    def __init__(self, config, data, order, takes):
        """Images and labels lie on the devices from now on."""
        self.task, self.index, self.keys, rows = order
        self._rows = jax.jit(rows)
        self.labels, self.tested = data.train.label, data.test.label
        self.units = data.test.group
        self._settings = config.posterior
        self.train = jax.device_put(columns(data.train, takes))
        self.test = jax.device_put(columns(data.test, takes))
        held = data.validation
        self.validation = held and jax.device_put(columns(held, takes))

    def epochs(self, program, fixed, shardings):
        """Epochs of one compiled loop; they have no pace."""
        data = devices.whole(self.train)
        placed = shardings, devices.everywhere()

        def epoch_of(fixed, *args):
            return epoch.make_epoch(*program(fixed))(*args)

        run_epoch = jax.jit(epoch_of, donate_argnums=2, out_shardings=placed)
        ruler, pair = Ruler(), (self.keys.prepare, self.keys.step)

        def who_is_in(number):
            return self._rows(jax.random.fold_in(self.keys.order, number), number)

        def pieces(number, carry, first):
            who, finite = who_is_in(number), True
            while first < len(who) and finite:
                begin = time.monotonic()
                last = min(first + ruler.steps, len(who))
                bounds = np.int32(first), np.int32(last)
                carry, history = run_epoch(fixed, pair, carry, data, who, *bounds)
                history = arrays(history)
                seconds = time.monotonic() - begin
                ruler.took(last - first, seconds)
                finite = history["finite"][first:last].all()
                if not finite:
                    last = first + int(history["finite"][first:].argmin()) + 1
                history = {name: steps[first:last] for name, steps in history.items()}
                yield Piece(last, carry, history, seconds, {})
                first = last

        def batch(number, at):
            chosen = np.asarray(who_is_in(number)[at])
            return {name: np.asarray(data[name])[chosen] for name in data}, chosen

        return Epochs(pieces, batch)

    def passes(self, extractor, alone=False, whole=True):
        """Passes of one compiled program each; in batches unless `whole`."""
        settings, everywhere = self._settings, devices.everywhere()
        fixed = devices.whole(extractor.fixed)

        def parts(fixed):
            prepare = partial(extractor.inputs, fixed)
            sizes = settings.batch_size, settings.chunk
            return extractor.draw, extractor.net(fixed), prepare, *sizes

        def refresh_of(fixed, *args):
            return extractors.make_refresh(*parts(fixed))(*args)

        def features_of(fixed, *args):
            return extractors.make_features(*parts(fixed))(*args)

        refresh_all, features_all = (
            jax.jit(compute, out_shardings=everywhere)
            for compute in (refresh_of, features_of)
        )

        @jax.jit
        def view(batch, number):
            key = jax.random.fold_in(self.keys.views, number)
            seen = {**batch, "image": extractor.view(key, batch["image"])}
            return extractor.masked(key, seen)

        @jax.jit
        def seen(batch):
            if settings.augmented:
                # Of both backbones they are of the same images.
                key = jax.random.clone(self.keys.statistics)
                batch = extractor.seen(key, batch)
            if settings.order == "neighbours":
                rows = sampling.neighbours(len(batch["image"]), settings.batch_size)
                batch = {name: column[rows] for name, column in batch.items()}
            return batch

        def refresh(weights, members, batch):
            return refresh_all(fixed, weights, members, seen(batch))

        def features(weights, members, batch_stats, batch, number=None):
            if number is not None:
                batch = view(batch, number)
            batches = [batch]
            if not whole:
                rows = np.arange(len(batch["image"]))
                cuts = np.array_split(rows, -(-len(rows) // settings.batch_size))
                batches = (
                    jax.tree.map(lambda leaf, at=at: leaf[at[0] : at[-1] + 1], batch)
                    for at in cuts
                )
            compute = partial(features_all, fixed)
            if alone:
                compute = extractors.one_by_one(compute, 2)
            who = weights, members, batch_stats
            yield from one_late(partial(compute, *who), batches)

        return Passes(refresh, features, shape_of(features_of, fixed))


def shape_of(features_of, fixed):
    """Builds `shape(weights, members, batch_stats, images)` of all features."""

    def shape(weights, members, batch_stats, batch):
        one = {
            name: jax.ShapeDtypeStruct(
                (1, *column.shape[1:]), getattr(column, "dtype", jnp.uint8)
            )
            for name, column in batch.items()
        }
        args = fixed, weights, members, batch_stats, one
        count, _, *rest = jax.eval_shape(features_of, *args).shape
        return count, len(batch["image"]), *rest

    return shape


def one_late(compute, batches):
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
