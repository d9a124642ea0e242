"""Batches that are decoded while the device works: Grain over `streamed.Pictures`.

Who is in which batch is decided elsewhere (`sampling.batches`). The pixels of an
element are a function of its row, its position in the epoch and the words of a key, and
of nothing else: they are the same from any number of workers, threads and hosts, and
the batches from some step on are those of an unbroken epoch.
"""

import dataclasses
import importlib.util
import os
import signal
import threading
import time
from collections.abc import Sequence

import numpy as np

from ltjax import machine
from ltjax.data.streamed import Pictures
from ltjax.mistake import Mistake

_AHEAD = 2  # batches that a worker has ready


@dataclasses.dataclass(frozen=True)
class Batches:
    """Random access to batches: {"image": uint8 [n, size, size, 3], "seconds": ...}.

    "seconds" is the time that the batch took to decode.
    """

    pictures: Pictures
    rows: Sequence[np.ndarray]  # of each batch, int [n]
    positions: Sequence[np.ndarray]  # of its elements in the epoch, int [n]
    words: tuple[int, ...] | None  # of a key; None: images as they are tested

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, step):
        begin = time.monotonic()
        pairs = zip(self.rows[step], self.positions[step], strict=True)
        image = np.stack([self._image(row, position) for row, position in pairs])
        return {"image": image, "seconds": time.monotonic() - begin}

    def _image(self, row, position):
        if self.words is None:
            return self.pictures.plain(row)
        rng = np.random.default_rng((*self.words, int(position)))
        return self.pictures.augmented(rng, row)


def of_epoch(pictures, rows, words, columns=slice(None), first=0):
    """The batches from `first` on of an epoch with the rows [steps, B].

    Of each batch only some columns.
    """
    rows = np.asarray(rows)
    positions = np.arange(rows.size).reshape(rows.shape)
    rows, positions = rows[first:, columns], positions[first:, columns]
    return Batches(pictures, rows, positions, words)


def in_order(pictures, rows, batch_size, words=None):
    """Batches of the `rows` [N] one after the other, in sizes that differ by one."""
    parts = np.array_split(rows, -(-len(rows) // batch_size))
    return Batches(pictures, parts, parts, words)


def across(pictures, batch_size, words):
    """Batches of all pictures, each from all over: b of n has b, b + n, b + 2n, ..."""
    number = -(-len(pictures) // batch_size)
    parts = [np.arange(first, len(pictures), number) for first in range(number)]
    return Batches(pictures, parts, parts, words)


def _begin_worker(index, count):
    """Leaves Ctrl-C to the run, which still needs its batches, and ends with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    run = os.getppid()

    def watch():
        while os.getppid() == run:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class Reader:
    """An iterator over `Batches`, decoded ahead by threads or worker processes.

    A context that ends them. `rate()` is the number of images a second that they could
    deliver so far, if nobody waited for anything else.
    """

    def __init__(self, batches, workers=0):
        """Starts with the first batch; `workers` 0 is threads of this process only."""
        grain = _grain()
        self._threads = max(1, machine.threads() // max(workers, 1))
        read = grain.ReadOptions(
            num_threads=self._threads, prefetch_buffer_size=self._threads
        )
        dataset = grain.MapDataset.source(batches).to_iter_dataset(read)
        if workers:
            dataset = dataset.mp_prefetch(
                grain.MultiprocessingOptions(
                    num_workers=workers, per_worker_buffer_size=_AHEAD
                ),
                worker_init_fn=_begin_worker,
            )
        self._parallel = min(self._threads * max(workers, 1), len(batches))
        self._batches = iter(dataset)
        self._images, self._seconds = 0, 0.0

    def __iter__(self):
        return self

    def __next__(self):
        batch = next(self._batches)
        self._images += len(batch["image"])
        self._seconds += float(batch["seconds"])
        # Copied: what comes from a worker lies in memory that is shared with it.
        return np.array(batch["image"])

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._batches.close()

    def rate(self):
        """Images a second."""
        return self._parallel * self._images / max(self._seconds, 1e-9)


def check_installed():
    """Raises `Mistake` where Grain is missing."""
    if importlib.util.find_spec("grain") is None:
        raise Mistake(
            "streaming images (--data.stream) needs the package grain: "
            "pip install 'ltjax[large]'"
        )


def _grain():
    check_installed()
    import grain
    from absl import flags

    # Grain reads flags of absl, which nobody but an absl program parses.
    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()
    return grain
