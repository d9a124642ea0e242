"""The two kinds of epochs of stage one: images on the device, or streamed to it.

Each builds `run(number, carry) -> (carry, history, pace)` of the same parts: `rows(key,
epoch)` says who is in which batch, `step`, `prepare(frozen, key, images)` and `collect`
are those of `representation.epoch`, `placed` the shardings of the carry. The same rows,
keys and steps either way.
"""

from functools import partial

import jax
import numpy as np

from ltjax import devices
from ltjax.data import stream
from ltjax.representation import epoch


def resident(session, rows, frozen, step, prepare, collect, placed):
    """Epochs of one compiled scan; they have no pace."""
    keys, data = session.keys, devices.whole(session.train)
    placed = placed, devices.everywhere()

    def epoch_of(frozen, *args):
        return epoch.make_epoch(step, partial(prepare, frozen), collect)(*args)

    run_epoch = jax.jit(epoch_of, donate_argnums=2, out_shardings=placed)

    def run(number, carry):
        who = rows(jax.random.fold_in(keys.order, number), number)
        pair = keys.prepare, keys.step
        return *run_epoch(frozen, pair, carry, data, who), {}

    return run


def streamed(session, rows, frozen, step, prepare, collect, placed):
    """Epochs of a loop over batches that workers decode and augment meanwhile.

    The pace holds the images a second that each side could do by itself.
    """
    keys, placed = session.keys, (placed, devices.everywhere())
    pictures, labels = session.data.train.image, session.data.train.label

    def turn_of(frozen, *args):
        return epoch.make_turn(step, partial(prepare, frozen), collect)(*args)

    compiled = jax.jit(turn_of, donate_argnums=2, out_shardings=placed)

    def turn(carry, batch):
        return compiled(frozen, (keys.prepare, keys.step), carry, batch)

    def run(number, carry):
        who = np.asarray(rows(jax.random.fold_in(keys.order, number), number))
        words = words_of(keys.prepare, number)
        columns = columns_here(who.shape[1])
        batches = stream.of_epoch(pictures, who, words, columns)
        with stream.Reader(batches, session.config.data.workers) as reader:
            pairs = zip(reader, labels[who[:, columns]])
            sent = (_sent(*pair) for pair in pairs)
            carry, history, seconds = epoch.over(turn, carry, sent)
            pace = {
                "input_images_per_second": reader.rate(),
                "step_images_per_second": _rate(seconds, who.shape[1]),
            }
        return carry, history, pace

    return run


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
