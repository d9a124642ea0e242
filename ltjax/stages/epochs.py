"""The two kinds of epochs of stage one: images on the device, or streamed to it.

Each is built of the same parts: `rows(key, epoch)` says who is in which batch, `step`,
`prepare(frozen, key, batch)` and `collect` are those of `representation.epoch`,
`frozen` are weights that do not change, `placed` the shardings of the carry. The same
rows, keys and steps either way.
"""

import functools
import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import numpy as np

from ltjax.data import stream
from ltjax.representation import epoch
from ltjax.runtime import devices, hosts


class Piece(NamedTuple):
    """Some steps of an epoch."""

    last: int  # steps of the epoch that were tried so far
    carry: tuple
    history: dict  # metrics of the steps of this piece
    seconds: float
    pace: dict  # images a second that each side of a streamed epoch could do, so far


class Epochs(NamedTuple):
    """The functions of a kind."""

    # (number, carry, first) -> `Piece` after `Piece` of an epoch, from the step `first`
    # on, to its end or to a step that is not finite.
    pieces: Callable
    # (number, at) -> the batch of a step as `prepare` gets it, {"image", "label"}, and
    # its rows; of several processes, what this one has.
    batch: Callable


class Ruler:
    """How many steps a piece has: a second's, so that a run soon hears of a signal.

    The first pieces are short, as nobody knows how long a step takes.
    """

    def __init__(self, seconds=1.0):
        """`seconds` is how long a piece takes, more or less."""
        self.steps = 1
        self._seconds = seconds

    def took(self, steps, seconds):
        """Learns that so many steps took so long."""
        fitting = int(steps * self._seconds / max(seconds, 1e-9))
        steps = max(1, min(fitting, 2 * self.steps))
        # All processes run the same program.
        self.steps = hosts.gathered(steps)[0]


def resident(session, rows, frozen, step, prepare, collect, placed):
    """Epochs of one compiled loop; they have no pace."""
    keys, data = session.keys, devices.whole(session.train)
    placed = placed, devices.everywhere()

    def epoch_of(frozen, *args):
        return epoch.make_epoch(step, partial(prepare, frozen), collect)(*args)

    run_epoch = jax.jit(epoch_of, donate_argnums=2, out_shardings=placed)
    ruler, pair = Ruler(), (keys.prepare, keys.step)

    def who_is_in(number):
        return rows(jax.random.fold_in(keys.order, number), number)

    def pieces(number, carry, first):
        who, finite = who_is_in(number), True
        while first < len(who) and finite:
            begin = time.monotonic()
            last = min(first + ruler.steps, len(who))
            bounds = np.int32(first), np.int32(last)
            carry, history = run_epoch(frozen, pair, carry, data, who, *bounds)
            history = jax.tree.map(np.asarray, history)
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


def streamed(session, rows, frozen, step, prepare, collect, placed):
    """Epochs of a loop over batches that workers decode and augment meanwhile."""
    keys, placed = session.keys, (placed, devices.everywhere())
    pictures, labels = session.data.train.image, session.data.train.label

    def turn_of(frozen, *args):
        return epoch.make_turn(step, partial(prepare, frozen), collect)(*args)

    compiled = jax.jit(turn_of, donate_argnums=2, out_shardings=placed)
    ruler = Ruler()

    def turn(carry, batch):
        return compiled(frozen, (keys.prepare, keys.step), carry, batch)

    @functools.lru_cache(1)
    def who_is_in(number):
        return np.asarray(rows(jax.random.fold_in(keys.order, number), number))

    def batches_of(number, first):
        who = who_is_in(number)
        columns = columns_here(who.shape[1])
        words = words_of(keys.prepare, number)
        batches = stream.of_epoch(pictures, who, words, columns, first)
        return who, batches, labels[who[first:, columns]]

    def pieces(number, carry, first):
        who, batches, labels_here = batches_of(number, first)
        with stream.Reader(batches, session.config.data.workers) as reader:
            sent = (_sent(*pair) for pair in zip(reader, labels_here))
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
        who, batches, labels_here = batches_of(number, at)
        return {"image": batches[0]["image"], "label": labels_here[0]}, who[at]

    return Epochs(pieces, batch)


def words_of(key, number):
    """Key and number as integers, for the generators of the host."""
    key = jax.random.fold_in(key, number)
    return tuple(int(word) for word in jax.random.key_data(key))


def in_words(pace):
    """The pace as the end of a progress line."""
    if not pace:
        return ""
    given, taken = pace.values()
    return f", input {given:.0f} images/s, step {taken:.0f} images/s"


def columns_here(batch_size):
    """The columns of a batch that the devices of this process hold, ascending."""
    parts = devices.split().addressable_devices_indices_map((batch_size,)).values()
    return np.unique(np.concatenate([np.arange(batch_size)[part] for part in parts]))


def _sent(images, labels):
    """A batch on its way to the devices, from the parts of it that this process has."""
    send = partial(jax.make_array_from_process_local_data, devices.split())
    return {"image": send(images), "label": send(labels)}


def _rate(seconds, images):
    """Images a second of the steps; the first of several may have been compiled."""
    seconds = seconds[1:] or seconds
    return images * len(seconds) / sum(seconds)
