"""Labels of clusters with names: `python -m ltjax.clustering RUN --names FILE ...`."""

import dataclasses
import sys
from pathlib import Path
from typing import Annotated

import tyro

from ltjax.runtime import command
from ltjax.runtime.command import exit_code, parsed


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """Makes labels of the clusters that their user has named, for a supervised run.

    The file that it writes has the columns path, label and weight:
      python -m ltjax.clustering runs/clusters-seed0 --names names.csv \\
          --out photos/labels.csv
      python -m ltjax.main --config mine.py --data.source csv \\
          --data.path photos/labels.csv

    Exit codes: 0 done, 2 a mistake, in one line.
    """

    run: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="RUN")]]
    """Folder of a finished run without labels, of a folder of images."""
    names: Path
    """CSV with the columns cluster and class; several clusters may be one class, and
    one without a name is left out."""
    out: Path
    """New .csv file, in the folder of the images or above."""
    least: float = 0.0
    """Weight below which an image is left out."""
    overwrite: bool = False
    """Replace the file if it is there."""


def main(args):
    """Runs one command line; returns the exit code."""
    found = parsed(Command, "clustering", args)

    def work():
        # Late: --help and a typo need no JAX.
        from ltjax.clustering.bridge import labelled

        made = found.run, found.names, found.out, found.least, found.overwrite
        images, classes = labelled(*made)
        print(f"labels in {found.out}: {images:,} images of {classes} classes")

    return exit_code(work)


if __name__ == "__main__":
    command.prepare_jax()
    sys.exit(main(sys.argv[1:]))
