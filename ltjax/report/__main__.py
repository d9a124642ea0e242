"""The page of finished runs: `python -m ltjax.report RUN [RUN ...] [--out FILE]`."""

import dataclasses
import sys
from pathlib import Path
from typing import Annotated

import tyro

from ltjax.mistake import Mistake
from ltjax.report import comparison, markup, page
from ltjax.runtime.command import exit_code, parsed
from ltjax.workdir import results
from ltjax.workdir.files import write_text


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """Makes the page of a finished run again, or one that compares several.

    Runs are of the same data; seeds of the same settings have means and deviations:
      python -m ltjax.report runs/digits_lt-seed0
      python -m ltjax.report runs/digits_lt-seed0 runs/digits_lt-seed1 --out seeds.html

    Exit codes: 0 done, 2 a mistake or used-up memory, in one line, 130 stopped by
    Ctrl-C.
    """

    runs: Annotated[
        tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="RUN [RUN ...]")
    ]
    """Folders of finished runs."""
    out: Path | None = None
    """Where the page goes. None: report.html, in RUN or, of several runs, here."""


def made(folders, out=None):
    """Writes the page of the runs in `folders`; returns where.

    Of one run, or a comparison of several. Raises `Mistake` for what is no finished
    run, for runs of other data, and where the page cannot be written.
    """
    if not folders:
        raise Mistake("no run is given; give the folder of one, or of several")
    runs = [results.read(folder) for folder in folders]
    file = out or (runs[0].out / page.FILE if len(runs) == 1 else Path(page.FILE))
    _check(file)
    if len(runs) == 1:
        text = page.of_run(runs[0])
    else:
        text = comparison.of_settings(comparison.settings(runs))
    try:
        write_text(file, text)
    except OSError as error:
        raise Mistake(f"{file} cannot be written: {error.strerror}") from error
    return file


def _check(file):
    """Refuses to write over what is no page of ours."""
    try:
        if file.is_dir() or not file.parent.is_dir():
            raise Mistake(f"--out {file} is not a file in an existing folder")
        start = markup.START.encode()
        if file.exists() and file.read_bytes()[: len(start)] != start:
            raise Mistake(f"{file} holds something else; give a new file as --out")
    except OSError as error:  # a name that is too long, or no permission
        raise Mistake(f"--out {file}: {error.strerror}") from error


def main(args):
    """Makes the page of one command line; returns the exit code."""
    command = parsed(Command, "report", args)
    return exit_code(lambda: print(made(command.runs, command.out)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
