"""The command line of all parts."""

import argparse
from pathlib import Path

import jax
import measured
from rich.console import Console
from rich.table import Table

from bench import (
    activations,
    beside,
    checks,
    frozen,
    harness,
    memory,
    pipeline,
    promise,
    scaling,
    transport,
    trials,
)
from ltjax.mistake import Mistake
from ltjax.runtime.command import exit_code
from ltjax.workdir.files import write_json

# A part has `flags(parser)` and `measure(flags)`, the figures of the file. Those of all
# but the first are told by the tables beside it.
PARTS = {
    "beside": (beside,),
    "scaling": (scaling, measured.scaling),
    "checks": (checks, measured.checks),
    "activations": (activations, measured.activations),
    "frozen": (frozen, measured.frozen),
    "pipeline": (pipeline, measured.pipeline),
    "transport": (transport, measured.transported),
    "trials": (trials, measured.tried),
    "promise": (promise, measured.promised),
    "memory": (memory, measured.memory, measured.whole_runs),
}


def read(args, description):
    """The part of a command line, its tables, and its flags."""
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--part", choices=PARTS, default="beside")
    part, *tables = PARTS[first.parse_known_args(args)[0].part]
    parts = (
        f"  {name:11} {one.__doc__.splitlines()[0]}"
        for name, (one, *_) in PARTS.items()
    )
    parser = argparse.ArgumentParser(
        parents=[first],
        description=description + "\n".join(parts),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    part.flags(parser)
    return part, tables, parser.parse_args(args)


def main(args, description=""):
    """Runs one command line; returns the exit code."""

    def work():
        part, tables, flags = read(args, description)
        if not flags.out.absolute().parent.is_dir() or flags.out.is_dir():
            raise Mistake(f"--out {flags.out} is not a file in an existing folder")
        header, console = harness.header(), Console()
        figures = part.measure(flags)
        if part is beside:  # has it among the details
            figures["detail"]["environment"] = header
            told = beside.told(figures)
        else:
            device = jax.devices()[0].device_kind
            figures = {**header, "device": device, **figures}
            told = (make(figures) for make in tables)
        write_json(flags.out, figures)
        for heads, *rows in told:
            table = Table(*heads)
            for row in rows:
                table.add_row(*map(str, row))
            console.print(table)
        if "note" in figures:
            console.print(figures["note"])
        console.print(f"figures are in {flags.out}", soft_wrap=True)

    return exit_code(work, "bench")
