"""Who gives a training its batches, and passes over all images: two kinds of loader.

One has the images on the device, `resident.Resident`, the other decodes them while the
device works, `streamed.Streamed`. The same rows, keys and steps either way.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import jax
import numpy as np

from ltjax.data import sampling
from ltjax.data.sampling import ClassIndex
from ltjax.representation.objective import Task
from ltjax.runtime import hosts
from ltjax.stages import keys


class Piece(NamedTuple):
    """Some steps of an epoch."""

    last: int  # steps of the epoch that were tried so far
    carry: tuple
    history: dict  # metrics of the steps of this piece
    seconds: float
    pace: dict  # images a second that each side of a streamed epoch could do, so far


class Epochs(NamedTuple):
    """The epochs of a training."""

    # (number, carry, first) -> `Piece` after `Piece` of an epoch, from the step `first`
    # on, to its end or to a step that is not finite.
    pieces: Callable
    # (number, at) -> the batch of a step as `prepare` gets it, {"image", "label"}, and
    # its rows; of several processes, what this one has.
    batch: Callable


class Passes(NamedTuple):
    """Passes over all images with M + 1 sets of weights.

    Images are {"image": uint8 [N, H, W, ch]}, and what else a batch carries.
    """

    # (weights, members, images) -> batch_stats, leading axis M + 1, of images as a
    # training sees them.
    refresh: Callable
    # (weights, members, batch_stats, images, number=None) -> parts [M + 1, n, D] of
    # images as they are tested or, with a number, of that augmented view of them.
    features: Callable
    shape: Callable  # (weights, members, batch_stats, images) -> that of all parts


class Loader(Protocol):
    """What both kinds are."""

    task: Task
    index: ClassIndex  # of the training images
    keys: keys.Keys
    train: dict  # the columns of a batch: "image", "label", and "meta" if it is there
    test: dict
    labels: np.ndarray  # of the training images, in the host's memory
    tested: np.ndarray  # of the test images
    units: np.ndarray | None  # of the test images, which belong together, int [N]
    # As `test`, of the images that nothing is trained on; None without any.
    validation: dict | None

    def epochs(self, program, fixed, shardings):
        """`Epochs` of `program(fixed) -> (step, prepare, collect)`.

        `fixed` are weights that do not move, an argument of what is compiled;
        `shardings` those of the carry.
        """

    def passes(self, extractor, alone=False, whole=True):
        """`Passes` of a `system.Extractor`.

        `alone` has members come one after another from the host's memory; unless
        `whole`, features of resident images come in parts, too.
        """


def of(config, data, order, takes=("image",)):
    """The loader of a run, of the `Order` of its batches.

    `takes` are the columns that its network takes.
    """
    from ltjax.stages import resident, streamed

    kind = streamed.Streamed if data.train.streamed else resident.Resident
    return kind(config, data, order, takes)


class Order(NamedTuple):
    """Who is in which batch."""

    task: Task
    index: ClassIndex
    keys: keys.Keys
    rows: Callable  # (key, epoch) -> int32 [steps, B]


def order(config, data):
    """The `Order` of a run; nothing is compiled yet, as it may have finished."""
    optim = config.optim
    index = sampling.class_index(data.train.label, data.classes)
    steps = sampling.steps(len(index.rows), optim.batch_size, optim.drop_last)
    rows = sampling.batches(
        optim.sampling, index, optim.batch_size, optim.epochs, optim.drop_last
    )
    task = Task(index.counts, steps, optim.epochs)
    return Order(task, index, keys.keys(config.seed), rows)


def columns(split, takes):
    """What a batch carries of a split: "image", "label", and what else is taken."""
    return {
        name: getattr(split, name) for name in dict.fromkeys(("image", "label", *takes))
    }


def unlabelled(batch):
    """A batch without its labels, which nobody may see who tests."""
    return {name: column for name, column in batch.items() if name != "label"}


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


def arrays(history):
    """Metrics of steps in NumPy arrays."""
    return jax.tree.map(np.asarray, history)
