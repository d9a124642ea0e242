"""The page of finished runs: `python -m ltjax.report RUN [RUN ...] [--out FILE]`."""

import dataclasses
import sys
from pathlib import Path
from typing import Annotated

import tyro

from ltjax.report.story import made
from ltjax.runtime.command import exit_code, parsed


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """Makes the page of a finished run again, or one that compares several.

    Runs are of the same data; seeds of the same settings have means and deviations:
      python -m ltjax.report runs/digits_lt-seed0
      python -m ltjax.report runs/digits_lt-seed0 runs/digits_lt-seed1 --out seeds.html

    Its figures as SVG and PNG, its tables as CSV:
      python -m ltjax.report runs/digits_lt-seed0 --parts figures

    Exit codes: 0 done, 2 a mistake or used-up memory, in one line, 130 stopped by
    Ctrl-C.
    """

    runs: Annotated[
        tyro.conf.Positional[tuple[Path, ...]],
        tyro.conf.arg(metavar="RUN [RUN ...]", help_behavior_hint="(required)"),
    ]
    """Folders of finished runs."""
    out: Path | None = None
    """Where the page goes. None: report.html, in RUN or, of several runs, here."""
    parts: Path | None = None
    """New folder for every figure (.svg, .png) and table (.csv) of the page."""


def main(args):
    """Makes the page of one command line; returns the exit code."""
    command = parsed(Command, "report", args)
    return exit_code(lambda: print(made(command.runs, command.out, command.parts)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
