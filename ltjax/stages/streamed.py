"""Epochs and passes over images that workers decode while the device works."""

import functools
import time
from functools import partial

import jax
import numpy as np

from ltjax.data import stream
from ltjax.posterior import members as extractors
from ltjax.representation import epoch
from ltjax.runtime import devices
from ltjax.stages.loader import (
    Epochs,
    Passes,
    Piece,
    Ruler,
    columns,
    words_of,
)
from ltjax.stages.resident import one_late, shape_of


class Streamed:
    """The `loader.Loader` of a data set that is read in training."""

    def __init__(self, config, data, order, takes):
        """Nothing is decoded yet; labels lie on the devices."""
        self.task, self.index, self.keys, rows = order
        self._rows = jax.jit(rows)
        self.labels, self.tested = data.train.label, data.test.label
        self.units = data.test.group
        self._settings, self._workers = config.posterior, config.data.workers
        self._here = columns(data.train, takes)  # of which a batch is cut on the host
        self.train, self.test, self.validation = (
            split and {**columns(split, takes), "label": jax.device_put(split.label)}
            for split in (data.train, data.test, data.validation)
        )

    def epochs(self, program, fixed, shardings):
        """Epochs of a loop over batches that are decoded and augmented meanwhile."""
        keys, placed = self.keys, (shardings, devices.everywhere())

        def turn_of(fixed, *args):
            return epoch.make_turn(*program(fixed))(*args)

        compiled = jax.jit(turn_of, donate_argnums=2, out_shardings=placed)
        ruler = Ruler()

        def turn(carry, batch):
            return compiled(fixed, (keys.prepare, keys.step), carry, batch)

        @functools.lru_cache(1)
        def who_is_in(number):
            rows = self._rows(jax.random.fold_in(keys.order, number), number)
            return np.asarray(rows)

        def batches_of(number, first):
            """Rows of the epoch, images from a step on, and what goes with them."""
            who = who_is_in(number)
            mine = columns_here(who.shape[1])
            words, here = words_of(keys.prepare, number), dict(self._here)
            images = stream.of_epoch(here.pop("image"), who, words, mine, first)
            return who, images, {n: c[who[first:, mine]] for n, c in here.items()}

        def pieces(number, carry, first):
            who, images, others = batches_of(number, first)
            steps = range(len(who) - first)
            with stream.Reader(images, self._workers) as reader:
                sent = (
                    _sent({"image": image, **{n: c[at] for n, c in others.items()}})
                    for image, at in zip(reader, steps)
                )
                turns = epoch.over(turn, carry, sent)
                piece, times, begin = [], [], time.monotonic()
                for carry, metrics, alone in turns:
                    piece.append({name: np.asarray(m) for name, m in metrics.items()})
                    times.append(alone)
                    last = first + len(piece)
                    finite = piece[-1]["finite"]
                    if len(piece) < ruler.steps and last < len(who) and finite:
                        continue
                    seconds = time.monotonic() - begin
                    ruler.took(len(piece), seconds)
                    pace = {
                        "input_images_per_second": reader.rate(),
                        "step_images_per_second": _rate(times, who.shape[1]),
                    }
                    history = jax.tree.map(lambda *steps: np.stack(steps), *piece)
                    yield Piece(last, carry, history, seconds, pace)
                    first, piece, begin = last, [], time.monotonic()

        def batch(number, at):
            who, images, others = batches_of(number, at)
            others = {name: column[0] for name, column in others.items()}
            return {"image": images[0]["image"], **others}, who[at]

        return Epochs(pieces, batch)

    def _viewed(self, extractor, others, number):
        """What is known beside images, as that view of stage two has it."""
        if number is None or not others:
            return others
        key = jax.random.fold_in(self.keys.views, number)
        return jax.tree.map(np.asarray, extractor.masked(key, others))

    def passes(self, extractor, alone=False, whole=True):
        """Passes over batches as they are decoded, of which features are parts."""
        settings, everywhere = self._settings, devices.everywhere()
        fixed = devices.whole(extractor.fixed)

        def fold_of(fixed, *args):
            how = extractor.net(fixed), partial(extractor.inputs, fixed)
            return extractors.make_fold(extractor.draw, *how, settings.chunk)(*args)

        def features_of(fixed, *args):
            how = extractor.net(fixed), partial(extractor.inputs, fixed)
            sizes = settings.batch_size, settings.chunk
            return extractors.make_features(extractor.draw, *how, *sizes)(*args)

        fold_batch, features_batch = (
            jax.jit(compute, out_shardings=everywhere)
            for compute in (fold_of, features_of)
        )

        def sent(batches, others):
            """Batches on the devices, whole on each: they need not divide a batch."""
            with stream.Reader(batches, self._workers) as reader:
                for image, rows in zip(reader, batches.rows):
                    here = {name: column[rows] for name, column in others.items()}
                    yield devices.whole({"image": image, **here})

        def refresh(weights, members, batch):
            carry, others = None, dict(batch)
            words = words_of(self.keys.statistics, 0) if settings.augmented else None
            images = others.pop("image")
            if settings.order == "strides":
                batches = stream.across(images, settings.batch_size, words)
            else:
                rows = np.arange(len(images))
                batches = stream.in_order(images, rows, settings.batch_size, words)
            for some in sent(batches, others):
                if carry is None:
                    like = jax.eval_shape(fold_of, fixed, weights, members, None, some)
                    carry = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), like)
                    carry = devices.whole(carry)
                # One batch is worked on while the next one is decoded, and no more.
                jax.block_until_ready(carry)
                carry = fold_batch(fixed, weights, members, carry, some)
            return carry[1]

        def features(weights, members, batch_stats, batch, number=None):
            words = None if number is None else words_of(self.keys.views, number)
            others = dict(batch)
            images = others.pop("image")
            others = self._viewed(extractor, others, number)
            rows = np.arange(len(images))
            batches = stream.in_order(images, rows, settings.batch_size, words)
            compute = partial(features_batch, fixed)
            if alone:
                compute = extractors.one_by_one(compute, 2)
            compute = partial(compute, weights, members, batch_stats)
            yield from one_late(compute, sent(batches, others))

        return Passes(refresh, features, shape_of(features_of, fixed))


def columns_here(batch_size):
    """The columns of a batch that the devices of this process hold, ascending."""
    parts = devices.split().addressable_devices_indices_map((batch_size,)).values()
    return np.unique(np.concatenate([np.arange(batch_size)[part] for part in parts]))


def _sent(batch):
    """A batch on its way to the devices, from the parts of it that this process has."""
    send = partial(jax.make_array_from_process_local_data, devices.split())
    return {name: send(column) for name, column in batch.items()}


def _rate(seconds, images):
    """Images a second of the steps; the first of several may have been compiled."""
    seconds = seconds[1:] or seconds
    return images * len(seconds) / sum(seconds)
