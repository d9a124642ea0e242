"""What the stages of one run share, and how they keep what they finished."""

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

import jax
from rich.console import Console

from ltjax import checkpoint, devices
from ltjax.config import Config
from ltjax.data.dataset import Dataset
from ltjax.data.order import ClassIndex
from ltjax.data.pictures import Pictures
from ltjax.models.network import Network
from ltjax.pretrained import Pretrained
from ltjax.report.writer import Writer
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

    @property
    def streams(self):
        """Whether images are `pictures.Pictures`, decoded when they are needed."""
        return isinstance(self.data.train.image, Pictures)

    def kept(self, name, compute, *args):
        """The tree `compute(*args)`, or the same as an earlier process saved it."""
        path = self.out / "checkpoints" / name
        if path.exists():
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
        checkpoint.save(path, tree)
        return tree
