"""Labels for new images: `python -m ltjax.predict RUN PATH --out FILE`."""

import dataclasses
import sys
from pathlib import Path
from typing import Annotated, Literal

import tyro

from ltjax.runtime import command
from ltjax.runtime.command import exit_code, parsed


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """Predicts the classes of new images with a finished run, one row per image.

    Columns: path (or index), label and probability, those of the next four labels,
    entropy in nats, and problem, which says why a file gave no image.

    With sets of labels that hold the true one in nine of ten images:
      python -m ltjax.predict runs/photos-seed0 new --out new.csv --coverage 0.9

    Exit codes: 0 done, 2 a mistake or used-up memory, in one line, 130 stopped by
    Ctrl-C.
    """

    run: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="RUN")]]
    """Folder of a finished run, or of the runs of --seeds, whose mean it is then."""
    path: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="PATH")]]
    """Images: a folder of any depth, an image file, a .csv with a column path
    (relative to it), or an .npz with `image`, uint8 [N, H, W, ch]."""
    out: Path
    """New .csv or .parquet file."""
    classifier: str | None = None
    """Row of the run's table: swa/la, swa/srepr/b or, for the mean of all draws,
    swag/la. None: swa/srepr, or the nearest to it."""
    prior: str | None = None
    """Shares of the classes where the images come from: uniform, train (as among
    the training images), or a JSON file {class: share}. None: those that the row
    assumes, which are told."""
    coverage: float | None = None
    """Adds the column set: labels that hold the true one so often, for example 0.9."""
    samples: int | None = None
    """Draws of the posterior to look at, 2 or more. Adds two columns that tell how
    far they disagree. None: no draws; all of them for a row of swag."""
    crops: Literal[1, 5, 10] = 1
    """Crops of each image whose probabilities are averaged, 10 with their mirrors."""
    next: int | None = None
    """Writes only so many images, those most worth a label: in doubt, and unlike."""
    overwrite: bool = False
    """Replace the file if it is there."""


def main(args):
    """Runs one command line; returns the exit code."""
    command = parsed(Command, "predict", args)

    def work():
        # Late: --help and a typo need no JAX.
        from ltjax.predict.story import predict

        predict(command)

    return exit_code(work)


if __name__ == "__main__":
    command.prepare_jax()
    sys.exit(main(sys.argv[1:]))
