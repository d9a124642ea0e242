"""Several seeds of one config: where each runs, and what they come to.

Each seed is an ordinary run in a folder of its own, which goes on by itself.
"""

import os
from pathlib import Path
from typing import NamedTuple

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


def parse(text):
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
    }
    write_json(where.summary, summary)
    return summary
