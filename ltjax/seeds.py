"""Several seeds of one config: where each runs, and what they come to.

Each seed is an ordinary run in a folder of its own, which goes on by itself.
"""

import dataclasses
import os
import sys
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from ltjax.config import command as commands
from ltjax.mistake import Mistake
from ltjax.report.aggregate import aggregate
from ltjax.runtime import processes
from ltjax.runtime.stopping import Stopped
from ltjax.workdir import files
from ltjax.workdir.files import write_json


class Places(NamedTuple):
    """The folders of the runs, and the file of what they come to."""

    runs: dict  # seed -> folder
    summary: Path


class Failed(Exception):
    """A seed that ended with an exit code other than 0, told by its process."""

    def __init__(self, seed, code):
        """Takes both."""
        super().__init__(
            f"seed {seed} ended with exit code {code}; what all did is kept, the same "
            "command goes on from there"
        )
        self.code = code


def places(out, name, seeds):
    """OUT/seed0 and OUT/seeds.json, or without `out` runs/NAME-seed0, as of one run.

    Raises `Mistake` where `out` is the folder of a run.
    """
    if out is None:
        runs = {seed: Path("runs") / f"{name}-seed{seed}" for seed in seeds}
        return Places(runs, Path("runs") / f"{name}-seeds.json")
    if (out / "config.json").exists():
        raise Mistake(
            f"--out {out} holds a run; with --seeds it must be a folder for one each"
        )
    return Places({seed: out / f"seed{seed}" for seed in seeds}, out / "seeds.json")


def side_by_side(where, words, environments, stopping, quiet):
    """The results of each seed, run by the command `words` in a process of its own.

    Raises `Stopped` with the code of `stopping()`, and `Failed` for the first process
    that ended otherwise; the others' runs are as they left them.
    """

    commands = {
        seed: [*words, "--seed", str(seed), "--out", str(place)]
        for seed, place in where.runs.items()
    }
    codes = processes.run(commands, environments, stopping, quiet)
    done = [seed for seed, code in codes.items() if code == 0]
    asked = stopping()
    if asked and len(done) < len(commands):
        raise Stopped(asked, f"{len(done)} of {len(commands)} seeds")
    for seed, code in codes.items():
        if code:
            raise Failed(seed, code)
    return {
        seed: files.read_json(place / "results.json")
        for seed, place in where.runs.items()
    }


def summarise(where, results):
    """Writes what the `results` of each seed come to, and returns it."""
    first = next(iter(results.values()))
    base = where.summary.parent
    summary = {
        "dataset": first["dataset"],
        "seeds": list(results),
        "runs": {seed: os.path.relpath(where.runs[seed], base) for seed in results},
        "std": "of a sample: squares over (seeds - 1)",
        "rows": aggregate(list(results.values())),
        **ensembled(where),
    }
    write_json(where.summary, summary)
    return summary


def ensembled(where):
    """{"ensemble": rows of the mean of all seeds}, or why there are none besides."""
    from ltjax.stages import ensemble  # late: it needs JAX

    try:
        return {"ensemble": ensemble.rows(where.runs.values())}
    except Mistake as mistake:  # code of its user's own, which folders do not hold
        return {"ensemble": [], "without": str(mistake)}


def run_all(config, command, args, stopping, run):
    """Runs all seeds of a `config.command.Command` and tells what they come to.

    `args` are its words, `stopping()` is that of `run.run`; `run(config, out, command,
    stopping, show)` does one seed in this process.
    """
    # Late: --help and a typo need no JAX.
    from ltjax.config import limits
    from ltjax.report.table import table
    from ltjax.runtime import hosts

    chosen = commands.seeds_of(command.seeds)
    where = places(command.out, config.name, chosen)
    configs = {seed: dataclasses.replace(config, seed=seed) for seed in chosen}
    for each in configs.values():  # in one line, not in one of each process
        limits.check(each)
    together = 1 if command.hosts != commands.Hosts() else command.parallel
    shares = processes.environments(len(chosen), together)
    if len(shares) > 1:
        if not command.quiet:
            print(f"{len(shares)} seeds at a time; each line begins with its seed")
        words = [sys.executable, "-m", "ltjax.main", *commands.of_one_seed(args)]
        results = side_by_side(where, words, shares, stopping, command.quiet)
    else:
        first, results = hosts.first(), {}
        for number, (seed, place) in enumerate(where.runs.items(), 1):
            if first and not command.quiet:
                print(f"seed {seed}, {number} of {len(chosen)}, in {place}")
            results[seed] = run(configs[seed], place, command, stopping, False)
        if not first:
            return
    summary, console = summarise(where, results), Console()
    console.print(table(summary, console.width))
    if not command.quiet:
        if "without" in summary:
            print(f"no row is of the mean of all seeds:\n  {summary['without']}")
        print(f"means and deviations are in {where.summary}")
