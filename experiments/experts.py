r"""RIDE, SHIKE and MDCS with every re-training: all alike, or each under its own views.

    python experiments/experts.py --protocol common \
        --out experiments/results/experts_cpu.jsonl \
        --data.train cifar100_train.npz --data.test cifar100_test.npz

runs the three `configs/cifar100_lt_*_srepr_cpu.py` and appends a JSON line for every
row of a run that is finished; the same command goes on where it stopped. `common` gives
all three the views that RIDE has, of the same images for as many epochs; `own` leaves
each its own. Every flag that is not listed is the run's: python -m ltjax.main --help.
"""

import argparse
import json
import sys
from pathlib import Path

import protocol

from ltjax.mistake import Mistake, exit_code

SYSTEMS = ("ride", "shike", "mdcs")
COMMON = ("--data.rotate", "15", "--data.policy", "None", "--data.cutout", "0")
PROTOCOLS = {"common": COMMON, "own": ()}
CONFIGS = Path(__file__).parent.parent / "configs"


def read(args):
    """The options of a command line, and the flags that are the runs'."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--protocol", choices=tuple(PROTOCOLS), required=True, help="views and images")
    add("--systems", choices=SYSTEMS, nargs="+", default=SYSTEMS, help="which of them")
    add("--seed", type=int, default=0, help="seed of the runs")
    add("--out", type=Path, required=True, help="file of JSON lines, appended to")
    add("--runs", type=Path, default=Path("runs"), help="folder of the runs")
    return parser.parse_known_args(args)


def lines(system, options, rest):
    """The lines of one system's run, made or found."""
    of_system = protocol.Options(
        config=CONFIGS / f"cifar100_lt_{system}_srepr_cpu.py",
        seeds=[options.seed],
        out=options.out,
        runs=options.runs / options.protocol,
        stage_one=None,
        holdout=0,
        holdout_largest=None,
        rest=[*PROTOCOLS[options.protocol], *rest],
    )
    config = protocol.config_of(of_system, options.seed)
    _, results, about = protocol.finished(of_system, config)
    about = {
        "system": system,
        "protocol": options.protocol,
        **about,
        "epochs": config.optim.epochs,
        "cost": results["cost"],
        "stages": results["seconds"],
    }
    return [{**about, **row} for row in results["rows"]]


def done(path):
    """The (system, protocol, seed) whose lines a file has."""
    if not path.exists():
        return set()
    try:
        found = map(json.loads, path.read_text(encoding="utf-8").splitlines())
        return {(line["system"], line["protocol"], line["seed"]) for line in found}
    except (ValueError, KeyError, TypeError) as error:
        raise Mistake(f"--out {path} holds other lines; give a new file") from error


def main():
    """Runs what is not in the file yet."""
    options, rest = read(sys.argv[1:])
    if not options.out.absolute().parent.is_dir() or options.out.is_dir():
        raise Mistake(f"--out {options.out} is not a file in an existing folder")
    for system in options.systems:
        if (system, options.protocol, options.seed) in done(options.out):
            print(f"{options.out} has {system}, {options.protocol}, {options.seed}")
            continue
        found = lines(system, options, rest)
        protocol.append(options.out, found)


if __name__ == "__main__":
    sys.exit(exit_code(main))
