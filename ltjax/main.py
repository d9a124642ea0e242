"""Command line of a run: `python -m ltjax.main --config configs/digits_lt.py`."""

import argparse
import contextlib
import dataclasses
import errno
import inspect
import math
import sys
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console

from ltjax import seeds
from ltjax.config import Config, file, words
from ltjax.mistake import Mistake
from ltjax.runtime import command, shortage
from ltjax.runtime.command import documented
from ltjax.runtime.stopping import Stopped, asked_to_stop
from ltjax.workdir import events


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

    The same command goes on with an unfinished run:
      python -m ltjax.main --config configs/digits_lt.py
      python -m ltjax.main --config configs/digits_lt.py --seeds 0,1,2 --out runs/x
      python -m ltjax.main --config photos.py --optim.epochs 100 --log tensorboard

    Every field of the config file has a flag here, and a flag wins over the file. Where
    there is a choice, a word takes another kind, with flags of its own:
      python -m ltjax.main --config photos.py --model resnet50 --optim.lr 0.05

    Exit codes; what was done is kept:
        0  done
        1  a failure of ltjax itself, with its traceback
        2  a mistake, told in one line that says what would be right; a full disk;
           used-up memory
       75  stopped by --stop-after-minutes
      130  stopped by Ctrl-C, 143 by SIGTERM; a second one stops at once
    """

    config: str
    """Python file that assigns `config`, for example configs/digits_lt.py; FILE:NAME
    reads NAME in its place. Those of ltjax are found by their names, too: digits_lt."""
    out: Path | None = None
    """Folder of the run; None: runs/NAME-seedSEED."""
    settings: Annotated[Config, tyro.conf.arg(name="")]
    seeds: Annotated[str | None, tyro.conf.arg(metavar="0,1,2")] = None
    """Runs each of these seeds, in OUT/seed0 and so on, and tells means and deviations,
    in OUT/seeds.json too. None: --seed alone."""
    parallel: int | None = None
    """Seeds at a time, each in a process of its own; on GPUs they share the devices.
    None: on GPUs as many as there are, with one each; elsewhere 1."""
    log: Literal["tensorboard"] | None = None
    """Write OUT/tensorboard, too."""
    quiet: bool = False
    """Print errors and the last table, and nothing else."""
    stop_after_minutes: float | None = None
    """Save and stop after so many minutes, with exit code 75."""
    accept_changes: bool = False
    """Go on in a folder of another config, data or versions, and say so in the
    results. Its trained backbones are kept, all else is made again."""
    stage_one: Path | None = None
    """Folder of a run that has trained the same backbones; they are taken over."""
    hosts: Hosts = Hosts()


# Flags that mean True when they stand alone.
_SWITCHES = (
    *("--data.nested", "--data.strict", "--hosts.detect", "--accept-changes"),
    "--quiet",
)

# What of a command is not its seeds'.
_WHOLE = ("--seeds", "--parallel", "--out", "--stop-after-minutes")

# A disk that is full or may not be written to, which its user can put right.
DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM}


def read(args):
    """The config, the output folder and the whole `Command` of a command line."""
    args = list(_spelled_out(args))
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config", nargs="?")
    place = parser.parse_known_args(args)[0].config
    settings, args = words.chosen(file.read(place) if place else Config(), args)
    file.described(settings)
    command = tyro.cli(
        documented(Command),
        prog="python -m ltjax.main",
        description="\n".join([inspect.getdoc(Command), "", *words.told(settings)]),
        args=args,
        default=Command(
            config=place or tyro.MISSING,
            settings=settings,
        ),
        config=(tyro.conf.FlagConversionOff,),
    )
    config = file.named(command.settings, place)
    out = command.out or Path("runs") / f"{config.name}-seed{config.seed}"
    minutes = command.stop_after_minutes
    if minutes is not None and not 0 <= minutes < math.inf:
        raise Mistake(f"stop_after_minutes is {minutes}; it must be 0 or more")
    _check_seeds(command, args)
    return config, out, command


def _check_seeds(command, args):
    parallel = command.parallel
    if command.seeds is None:
        if parallel is not None:
            raise Mistake(f"parallel is {parallel}; it is for --seeds, give some")
        return
    seeds.parse(command.seeds)
    if any(word.partition("=")[0] == "--seed" for word in args):
        raise Mistake("--seed and --seeds are both given; give one of them")
    if command.stage_one is not None:
        raise Mistake(
            "--stage-one is of one seed; give it to a run of that seed, without --seeds"
        )
    if parallel is not None and parallel < 1:
        raise Mistake(f"parallel is {parallel}; it must be at least 1")
    if command.hosts != Hosts() and parallel not in (None, 1):
        raise Mistake(
            f"parallel is {parallel}; with --hosts it must be 1, all processes do one "
            "seed after another"
        )


def _spelled_out(args):
    for word, following in zip(args, [*args[1:], None]):
        yield word
        if word in _SWITCHES and following not in ("True", "False"):
            yield "True"


def main(args):
    """Runs one command line; returns the exit code.

    0: done. 2: a mistake of the user, a full disk or used-up memory. 143 or 130:
    stopped by SIGTERM or SIGINT. 75: stopped by `--stop-after-minutes`. Flags that tyro
    refuses, and `--help`, leave by its own `SystemExit`.
    """
    out = None
    try:
        config, out, command = read(args)
        with asked_to_stop(command.stop_after_minutes) as stopping:
            _begin(command)
            if command.seeds is None:
                _run(config, out, command, stopping, command.quiet)
            else:
                _run_seeds(config, command, args, stopping)
    except Stopped as stopped:
        print(
            f"ltjax: stopped after {stopped}; all is saved, the same command goes on",
            file=sys.stderr,
        )
        return stopped.code
    except seeds.Failed as failed:
        print(f"ltjax: {failed}", file=sys.stderr)
        return failed.code
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
    except (RuntimeError, MemoryError) as error:
        line = shortage.told(error)
        if line is None:
            raise
        print(
            f"ltjax: {line}; what was saved before is kept, the same command goes on "
            "from there, other settings with --accept-changes",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        print("ltjax: stopped; the same command goes on from there", file=sys.stderr)
        return 130
    return 0


# JAX is imported late: --help and a typo need none.


def _begin(command):
    """What a process does once, before its runs."""
    from ltjax.report import tensorboard
    from ltjax.runtime import hosts

    if command.log:
        tensorboard.check_installed()
    hosts.join(**dataclasses.asdict(command.hosts))


def _run(config, out, command, stopping, show):
    """The results of one run; with `show` its table is printed, whatever is quiet."""
    from ltjax.report import tensorboard
    from ltjax.report.table import table
    from ltjax.run import run
    from ltjax.runtime import hosts

    logs = command.log and hosts.first()
    with tensorboard.Board(out) if logs else contextlib.nullcontext() as board:
        results = run(
            config,
            out,
            Console(quiet=True) if command.quiet else None,
            stage_one=command.stage_one,
            accept_changes=command.accept_changes,
            stopping=stopping,
            track=board,
        )
        if board:
            events.guarded(board.conclude)(results)
    if show and hosts.first():
        Console().print(table(results))
    return results


def _run_seeds(config, command, args, stopping):
    """Runs all seeds and tells what they come to."""
    from ltjax.config import limits
    from ltjax.report.table import table
    from ltjax.runtime import hosts, processes

    chosen = seeds.parse(command.seeds)
    places = seeds.places(command.out, config.name, chosen)
    configs = {seed: dataclasses.replace(config, seed=seed) for seed in chosen}
    for each in configs.values():  # in one line, not in one of each process
        limits.check(each)
    together = 1 if command.hosts != Hosts() else command.parallel
    shares = processes.environments(len(chosen), together)
    if len(shares) > 1:
        if not command.quiet:
            print(f"{len(shares)} seeds at a time; each line begins with its seed")
        words = [sys.executable, "-m", "ltjax.main", *_without(args, _WHOLE)]
        results = seeds.side_by_side(places, words, shares, stopping, command.quiet)
    else:
        first, results = hosts.first(), {}
        for number, (seed, place) in enumerate(places.runs.items(), 1):
            if first and not command.quiet:
                print(f"seed {seed}, {number} of {len(chosen)}, in {place}")
            results[seed] = _run(configs[seed], place, command, stopping, False)
        if not first:
            return
    summary, console = seeds.summarise(places, results), Console()
    console.print(table(summary, console.width))
    if not command.quiet:
        print(f"means and deviations are in {places.summary}")


def _without(args, flags):
    """The words of a command line less some flags and their values."""
    words = iter(args)
    for word in words:
        flag, equals, _ = word.partition("=")
        if flag.replace("_", "-") not in flags:
            yield word
        elif not equals:
            next(words)


if __name__ == "__main__":
    command.keep_programs()
    sys.exit(main(sys.argv[1:]))
