"""Command line of a run: `python -m ltjax.main --config configs/digits_lt.py`."""

import argparse
import contextlib
import dataclasses
import errno
import math
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Annotated

import tyro

from ltjax import config_file
from ltjax.config import Config
from ltjax.mistake import Mistake
from ltjax.stopped import Stopped


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hosts:
    """The processes that do one run together, one per host; none of it for one."""

    coordinator: str | None = None
    """HOST:PORT at which the others reach process 0."""
    count: int | None = None
    """How many processes there are."""
    index: int | None = None
    """Which of them this is, from 0."""
    detect: bool = False
    """Let JAX find out: under Slurm and Open MPI, on Cloud TPUs, on Kubernetes."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """Trains the SGD and SWA backbones, re-trains every classifier, prints one table.

    The same command resumes an unfinished run.

    Every field of the config file has a flag here, and a flag wins over the file.
    """

    config: Path
    """Python file that assigns `config`, for example configs/digits_lt.py."""
    out: Path | None = None
    """Folder of the run; None: runs/NAME-seedSEED."""
    stage_one: Path | None = None
    """Folder of a run that has trained the same backbones; they are taken over."""
    accept_changes: bool = False
    """Go on in a folder of another config, data or versions, and say so in the
    results; what it has trained is kept."""
    stop_after_minutes: float | None = None
    """Save and stop after so many minutes, with exit code 75."""
    settings: Annotated[Config, tyro.conf.arg(name="")]
    hosts: Hosts = Hosts()


# Flags that mean True when they stand alone.
_SWITCHES = ("--data.strict", "--hosts.detect", "--accept-changes")

# The exit code after --stop-after-minutes: that of sysexits.h for "try again".
TRY_AGAIN = 75

# A disk that is full or may not be written to, which its user can put right.
DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM}


def read(args):
    """The config, the output folder and the whole `Command` of a command line."""
    args = list(_spelled_out(args))
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config", type=Path, nargs="?")
    path = parser.parse_known_args(args)[0].config
    command = tyro.cli(
        Command,
        prog="python -m ltjax.main",
        args=args,
        default=Command(
            config=path or tyro.MISSING,
            settings=config_file.read(path) if path else Config(),
        ),
        config=(tyro.conf.FlagConversionOff,),
    )
    config = command.settings
    if config.name is None:
        config = dataclasses.replace(config, name=path.stem)
    out = command.out or Path("runs") / f"{config.name}-seed{config.seed}"
    minutes = command.stop_after_minutes
    if minutes is not None and not 0 <= minutes < math.inf:
        raise Mistake(f"stop_after_minutes is {minutes}; it must be 0 or more")
    return config, out, command


def _spelled_out(args):
    for word, following in zip(args, [*args[1:], None]):
        yield word
        if word in _SWITCHES and following not in ("True", "False"):
            yield "True"


@contextlib.contextmanager
def asked_to_stop(minutes):
    """A context of `stopping()`: the exit code to stop with, or None.

    SIGTERM and SIGINT ask for it, the second one ends the process at once; so does the
    time, after so many minutes.
    """
    asked, begin = [], time.monotonic()

    def note(number, frame):
        for each, handler in before.items():
            signal.signal(each, handler)
        asked.append(128 + number)
        # Not printed, which may have been what was interrupted.
        name = signal.Signals(number).name
        os.write(2, f"ltjax: {name}, stopping; again to stop at once\n".encode())

    def stopping():
        late = minutes is not None and time.monotonic() - begin >= 60 * minutes
        return asked[0] if asked else TRY_AGAIN if late else None

    numbers = (signal.SIGTERM, signal.SIGINT)
    # Python lets the main thread only.
    if threading.current_thread() is not threading.main_thread():
        numbers = ()
    before = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        signal.signal(number, note)
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def main(args):
    """Runs one command line; returns the exit code.

    0: done. 2: a mistake of the user, or a full disk. 143 or 130: stopped by SIGTERM or
    SIGINT. 75: stopped by `--stop-after-minutes`. Flags that tyro refuses, and
    `--help`, leave by its own `SystemExit`.
    """
    try:
        config, out, command = read(args)
        with asked_to_stop(command.stop_after_minutes) as stopping:
            # Imported late: --help and a typo need no JAX.
            from ltjax import hosts
            from ltjax.run import run

            hosts.join(**dataclasses.asdict(command.hosts))
            run(
                config,
                out,
                stage_one=command.stage_one,
                accept_changes=command.accept_changes,
                stopping=stopping,
            )
    except Stopped as stopped:
        print(
            f"ltjax: stopped after {stopped}; all is saved, the same command goes on",
            file=sys.stderr,
        )
        return stopped.code
    except Mistake as mistake:
        print(f"ltjax: {mistake}", file=sys.stderr)
        return 2
    except OSError as error:
        if error.errno not in DISK:
            raise
        print(
            f"ltjax: {error.filename or out}: {error.strerror}; what was saved before "
            "is kept, the same command goes on from there",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        print("ltjax: stopped; the same command goes on from there", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    # Compiled programs are kept for the next run: half of a small run is compilation,
    # of many programs that take less than the second from which JAX would keep them.
    os.environ.setdefault(
        "JAX_COMPILATION_CACHE_DIR", str(Path.home() / ".cache" / "ltjax")
    )
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    sys.exit(main(sys.argv[1:]))
