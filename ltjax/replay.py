"""A step that was not finite, taken again: `python -m ltjax.replay runs/x`.

Reads the run's `config.json` and `divergence.npz`; prints which tensors of the gradient
and of the new weights are not finite, and how large the weights were before.
"""

import dataclasses
import sys
from pathlib import Path
from typing import Annotated

import tyro

from ltjax.runtime.command import compile_quickly, exit_code, parsed
from ltjax.stages.replay import replayed


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """Takes the step that a run refused, since it was not finite, once more.

    Told are the tensors of gradient, statistics and new weights that are not finite:
      python -m ltjax.replay runs/digits_lt-seed0

    Exit codes: 0 done, 2 a mistake or used-up memory, in one line, 130 stopped by
    Ctrl-C.
    """

    out: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="RUN")]]
    """Folder of a run that stopped at such a step."""


def main(args):
    """Replays the run of one command line; returns the exit code."""
    command = parsed(Command, "replay", args)

    def tell():
        for line in replayed(command.out):
            print(line)

    return exit_code(tell)


if __name__ == "__main__":
    compile_quickly()  # as the run did
    sys.exit(main(sys.argv[1:]))
