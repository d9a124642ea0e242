"""The command line of a run, and what it comes to: a config, a folder, and the rest."""

import argparse
import dataclasses
import inspect
import math
import textwrap
from pathlib import Path
from typing import Annotated, Literal

import tyro

from ltjax.config import file, words
from ltjax.config.config import Config
from ltjax.mistake import Mistake
from ltjax.runtime.command import documented, in_one_line


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

    Every field of the config file has a flag here, and a flag wins over the file:
      python -m ltjax.main --config photos.py --optim.lr 0.05

    Where there is a choice, a word takes another kind, with flags of its own:
      python -m ltjax.main --config photos.py --model resnet50 --model.dtype bfloat16

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
    calibrate: bool = False
    """Hold a tenth of the training images out, of classes that can spare some, and fit
    each row's temperature on them: for classifier.calibrate and data.validation."""
    explain: bool = False
    """Show on the page where the surest mistakes come from: what each loses when parts
    of the image are covered. Of a finished run, too."""
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


_ALL = "--help-all"
_SHARE = 0.1  # of the training images, that --calibrate holds out

# Flags that mean True when they stand alone.
_SWITCHES = (
    *("--data.nested", "--data.strict", "--hosts.detect", "--accept-changes"),
    *("--quiet", "--calibrate", "--explain"),
)

# Flags whose values may also come with commas between them.
_LISTS = ("--data.meta",)

# What of a command is not its seeds'.
_WHOLE = ("--seeds", "--parallel", "--out", "--stop-after-minutes")


def read(args):
    """The config, the output folder and the whole `Command` of a command line."""
    args = list(_spelled_out(args))
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config", nargs="?")
    place = parser.parse_known_args(args)[0].config
    settings, args = words.chosen(file.read(place) if place else Config(), args)
    file.described(settings)
    prog = "python -m ltjax.main"
    if {"-h", "--help"} & set(args):
        _tell_briefly(prog)
    args = ["--help" if word == _ALL else word for word in args]
    with in_one_line(prog):
        command = tyro.cli(
            documented(Command),
            prog=prog,
            description="\n".join([inspect.getdoc(Command), "", *words.told(settings)]),
            args=args,
            default=Command(
                config=place or tyro.MISSING,
                settings=settings,
            ),
            config=(tyro.conf.FlagConversionOff,),
        )
    config = file.named(command.settings, place)
    if command.calibrate:
        config = _calibrated(config)
    out = command.out or Path("runs") / f"{config.name}-seed{config.seed}"
    minutes = command.stop_after_minutes
    if minutes is not None and not 0 <= minutes < math.inf:
        raise Mistake(f"stop_after_minutes is {minutes}; it must be 0 or more")
    _check_seeds(command, args)
    return config, out, command


def _tell_briefly(prog):
    """Shows what a command has besides its config, and leaves."""
    own = dataclasses.fields(documented(Command))
    brief = dataclasses.make_dataclass(
        "Command",
        [(each.name, each.type, each) for each in own if each.name != "settings"],
        kw_only=True,
    )
    parts = [each.name for each in dataclasses.fields(Config)]
    told = f"Every field of the config, and the words of its choices: {_ALL}. They are"
    listed = textwrap.wrap(", ".join(parts), 74)
    text = [inspect.getdoc(Command), "", told, *(f"  {line}" for line in listed)]
    with in_one_line(prog):
        tyro.cli(
            brief,
            prog=prog,
            description="\n".join(text),
            args=["--help"],
            config=(tyro.conf.FlagConversionOff,),
        )


def _calibrated(config):
    """The config with `--calibrate`; a share that it holds out already stays."""
    classifier = dataclasses.replace(config.classifier, calibrate=True)
    share = config.data.validation or _SHARE
    data = dataclasses.replace(config.data, validation=share)
    return dataclasses.replace(config, classifier=classifier, data=data)


def _check_seeds(command, args):
    parallel = command.parallel
    if command.seeds is None:
        if parallel is not None:
            raise Mistake(f"parallel is {parallel}; it is for --seeds, give some")
        return
    seeds_of(command.seeds)
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
    listed = False
    for word, following in zip(args, [*args[1:], None]):
        flag, equals, value = word.partition("=")
        if flag.startswith("--"):
            listed = flag in _LISTS
        if listed and equals:
            yield from (flag, *filter(None, value.split(",")))
        elif listed and not word.startswith("--"):
            yield from filter(None, word.split(","))
        else:
            yield word
        if word in _SWITCHES and following not in ("True", "False"):
            yield "True"


def seeds_of(text):
    """The seeds of `0,1,2`. Raises `Mistake` where they are none, doubled or others."""
    words = text.split(",") if text else []
    if not words:
        raise Mistake("--seeds is empty; give some, such as 0,1,2")
    for word in words:
        # As `int`, but without signs, blanks and underscores.
        if not (word.isascii() and word.isdigit()):
            raise Mistake(
                f"--seeds {text} has {word!r}; it must be integers from 0 on, such as "
                "0,1,2"
            )
    seeds = tuple(map(int, words))
    for seed in seeds:
        if seeds.count(seed) > 1:
            raise Mistake(f"--seeds {text} has {seed} twice; give every seed once")
    return seeds


def of_one_seed(args):
    """The words of a command of several seeds that are those of each."""
    return _without(args, _WHOLE)


def _without(args, flags):
    """The words of a command line less some flags and their values."""
    words = iter(args)
    for word in words:
        flag, equals, _ = word.partition("=")
        if flag.replace("_", "-") not in flags:
            yield word
        elif not equals:
            next(words)
