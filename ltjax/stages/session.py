"""What the stages of one run share."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from ltjax.config import Config
from ltjax.data.dataset import Dataset
from ltjax.data.sampling import ClassIndex
from ltjax.data.streamed import Pictures
from ltjax.models.network import Network
from ltjax.models.pretrained import Pretrained
from ltjax.runtime import hosts
from ltjax.stages.keys import Keys
from ltjax.stages.teacher import Teacher
from ltjax.workdir import checkpoint
from ltjax.workdir.events import Writer


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
    augment: Callable  # (key, images uint8) -> images uint8, in stage two
    seen: Callable  # the same in stage one, where there may be two views of each
    normalise: Callable  # images uint8 -> float32
    pretrained: Pretrained
    teacher: Teacher
    writer: Writer
    console: Console
    made: dict  # what every checkpoint tells of its run
    stopping: Callable = lambda: None  # () -> the exit code to stop with, or None

    @property
    def streams(self):
        """Whether images are `streamed.Pictures`, decoded when they are needed."""
        return isinstance(self.data.train.image, Pictures)

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
        """Prints a line as it is; a terminal may break it between words."""
        wide = not self.console.is_terminal
        self.console.print(line, soft_wrap=wide, highlight=False, markup=False)

    def asked(self):
        """The exit code with which the run was asked to stop, or 0.

        Of several processes any may have been asked; all have to come here.
        """
        return max(hosts.gathered(self.stopping() or 0))
