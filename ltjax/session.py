"""What the stages of one run share, how they keep what they finished, and stop."""

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

import jax
from rich.console import Console

from ltjax import checkpoint, devices, hosts
from ltjax.config import Config
from ltjax.data.dataset import Dataset
from ltjax.data.order import ClassIndex
from ltjax.data.pictures import Pictures
from ltjax.models.network import Network
from ltjax.pretrained import Pretrained
from ltjax.report.writer import Writer
from ltjax.stopped import Stopped
from ltjax.streams import Keys


@dataclasses.dataclass(frozen=True, kw_only=True)
class Session:
    """A run's settings, data and folder; nothing in it changes."""

    config: Config
    out: Path
    keys: Keys
    net: Network
    data: Dataset
    train: dict  # `image` and `label` of the training split, on the device if resident
    test: dict  # the same of the test split
    index: ClassIndex
    augment: Callable  # (key, images uint8) -> images uint8
    normalise: Callable  # images uint8 -> float32
    pretrained: Pretrained
    writer: Writer
    console: Console
    made: dict  # what every checkpoint tells of its run
    stopping: Callable = lambda: None  # () -> the exit code to stop with, or None

    @property
    def streams(self):
        """Whether images are `pictures.Pictures`, decoded when they are needed."""
        return isinstance(self.data.train.image, Pictures)

    def kept(self, name, compute, *args):
        """The tree `compute(*args)`, or the same as an earlier process saved it."""
        path = self.out / "checkpoints" / name
        if self.holds(path):
            if self.streams:  # a loop over batches, which no shapes can be run through
                return checkpoint.load_as_saved(path)
            everywhere = devices.everywhere()
            like = jax.tree.map(
                lambda leaf: leaf.update(sharding=everywhere),
                jax.eval_shape(compute, *args),
            )
            return checkpoint.load(path, like)
        begin = time.monotonic()
        tree = jax.block_until_ready(compute(*args))
        # Told before it is saved: a kill in between repeats the event, and loses none.
        self.writer.write(
            {
                "event": "features",
                "name": name,
                "stage": "features",
                "seconds": time.monotonic() - begin,
            }
        )
        self.save(path, tree)
        self.stop_if_asked(name)
        return tree

    def save(self, path, tree, note=None):
        """Keeps a tree, and a JSON note with it, for `holds` and `checkpoint.load`."""
        self.timed(path, lambda: checkpoint.save(path, tree, note, self.made))

    def timed(self, path, save):
        """Calls `save()`, which writes the checkpoint `path`; returns its seconds."""
        begin = time.monotonic()
        save()
        seconds = time.monotonic() - begin
        name = path.relative_to(self.out / "checkpoints").as_posix()
        event = {"event": "save", "name": name, "stage": "saving", "seconds": seconds}
        self.writer.write(event)
        return seconds

    def holds(self, path):
        """Whether something is saved at `path` and whole.

        What is damaged is told, set aside, and to be made again.
        """
        wrong = None
        if path.exists():
            wrong = checkpoint.damage(path)
        found, wrong = hosts.gathered([path.exists(), wrong])[0]
        if wrong:
            self.say(f"{path} cannot be used: {wrong}")
            hosts.by_first(lambda: checkpoint.set_aside(path))
        return found and not wrong

    def say(self, line):
        """Prints a line as it is."""
        self.console.print(line, soft_wrap=True, highlight=False, markup=False)

    def asked(self):
        """The exit code with which the run was asked to stop, or 0.

        Of several processes any may have been asked; all have to come here.
        """
        return max(hosts.gathered(self.stopping() or 0))

    def stop_if_asked(self, where):
        """Raises `Stopped` where the run was asked to stop; all it did is saved.

        To be called when something new was saved: a run that is asked again and again
        still comes to its end.
        """
        code = self.asked()
        if code:
            raise Stopped(code, where)
