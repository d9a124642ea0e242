"""Experts only where they are asked for: `python -m ltjax.route RUN --out FILE`."""

import dataclasses
import sys
from pathlib import Path
from typing import Annotated

import tyro

from ltjax.runtime import command
from ltjax.runtime.command import exit_code, parsed


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """Trains RIDE's router on a finished run of several experts, and routes its tests.

    After each expert the router says which images need another one. It learns from the
    kept features of the training images; the network stays as it is. Told are figures
    and multiplications of the first 1, 2, ... experts and of the routed system, how
    many experts the test images used, and how fast:
      python -m ltjax.route runs/cifar100_lt_ride-seed0 --out ride.json

    Exit codes: 0 done, 2 a mistake or used-up memory, in one line, 130 stopped by
    Ctrl-C.
    """

    run: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="RUN")]]
    """Folder of a finished run of two or more experts."""
    out: Path
    """New .json file for all that is told; a .router.npz beside it holds the router."""
    classifier: str = "sgd/none"
    """Row of the run's table whose experts are asked: sgd/none, swa/la, swa/srepr/b."""
    epochs: int = 5
    """Epochs of the router, on classes in equal shares."""
    batch_size: int = 512
    """Images of a training step; all of them if there are fewer."""
    lr: float = 0.01
    """First learning rate, half a cosine to zero by epoch."""
    weight: float = 100.0
    """What it costs not to ask for an expert that would have helped, against asking for
    one in vain: larger uses more experts."""
    top: int = 30
    """How many of the largest logits the router sees; all if there are fewer."""
    threshold: float = 0.5
    """Probability above which another expert is asked: 0 always, 1 never."""
    at_once: int = 100
    """Images that the network takes at once when tests are routed and timed."""
    overwrite: bool = False
    """Replace the files if they are there."""


def main(args):
    """Runs one command line; returns the exit code."""
    command = parsed(Command, "route", args)

    def work():
        # Late: --help and a typo need no JAX.
        from ltjax.route.story import route

        route(command)

    return exit_code(work)


if __name__ == "__main__":
    command.prepare_jax()
    sys.exit(main(sys.argv[1:]))
