"""Command line of a run: `python -m ltjax.main --config configs/digits_lt.py`."""

import argparse
import dataclasses
import difflib
import runpy
import sys
from pathlib import Path

import tyro

from ltjax.config import Config
from ltjax.mistake import Mistake


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command(Config):
    """Trains the SGD and SWA backbones, re-trains every classifier, prints one table.

    The same command resumes an unfinished run. Every field of the config file has a
    flag here, and a flag wins over the file.
    """

    config: Path = Path()
    """Python file that assigns `config`, for example configs/digits_lt.py."""
    out: Path | None = None
    """Folder of the run; by default runs/NAME-seedSEED."""


def read(args):
    """The config and the output folder of a command line."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config", type=Path)
    path = parser.parse_known_args(args)[0].config
    helping = bool({"-h", "--help"} & set(args))
    if path is None and not helping:
        raise Mistake("--config is missing; for example --config configs/digits_lt.py")
    base = Config() if path is None else read_file(path)
    fields = {f.name: getattr(base, f.name) for f in dataclasses.fields(Config)}
    command = tyro.cli(
        Command, prog="python -m ltjax.main", args=args, default=Command(**fields)
    )
    config = Config(**{name: getattr(command, name) for name in fields})
    return config, command.out or Path("runs") / f"{config.name}-seed{config.seed}"


def read_file(path):
    """The `config` that a Python file assigns."""
    if not path.is_file():
        names = [str(other) for other in path.parent.glob("*.py")]
        near = difflib.get_close_matches(str(path), names, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise Mistake(f"--config {path} is not a file{hint}")
    try:
        found = runpy.run_path(str(path)).get("config")
    except Exception as error:  # whatever a user's file raises is for them to mend
        line = str(error).splitlines()[0] if str(error) else ""
        raise Mistake(f"--config {path}: {type(error).__name__}: {line}") from error
    if not isinstance(found, Config):
        raise Mistake(
            f"--config {path} assigns {type(found).__name__} to `config`; "
            "it must be an ltjax.config.Config"
        )
    return found


def main(args):
    """Runs one command line; returns the exit code, 0 or 2."""
    try:
        config, out = read(args)
        # Imported late: --help and a typo need no JAX.
        from ltjax.run import run

        run(config, out)
    except Mistake as mistake:
        print(f"ltjax: {mistake}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
