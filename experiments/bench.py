"""Times ltjax against PyTorch on a CPU, side by side in one process.

    python experiments/bench.py --quick --out bench.json     within 3 minutes
    python experiments/bench.py --out bench.json             about 15 minutes

needs `pip install torch==2.13.0`, then the extra `[bench]`. Every part of a run
(`pairs.py`, `posterior_pairs.py`) is timed in both libraries by turns, with the same
data and threads; what is reported is the median over the turns of the ratio of speeds,
with its quartiles. Batches are the same; the long bench also tries others in PyTorch's
inference. It adds torch.compile, peak memory, growth with N, M, K, C and the model
(`growth.py`), and whole runs on the digits with a cold and a warm compilation cache
(`whole.py`). Run it on an idle machine.
"""

import dataclasses
import importlib.metadata
import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Literal

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

import ltjax
from ltjax import machine
from ltjax.mistake import Mistake
from ltjax.runtime.command import exit_code
from ltjax.workdir import versions

PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "torch")
REQUIRED = ("train_step", "inference", "refresh", "head")
# A quick bench stops repeating then; every part is timed at least once.
QUICK_SECONDS = 110
# Speed of ltjax over the other's, at least.
TARGETS = {
    "train_step": {"torch": 0.4},
    "inference": {"torch": 0.55},
    "refresh": {"11 forward passes": 1 / 1.1},
}
Part = Literal[
    "train_step",
    "inference",
    "swag_update",
    "swa_update",
    "draws",
    "refresh",
    "head",
    "evaluation",
    "peak",
    "growth",
    "digits",
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Times ltjax against PyTorch on this CPU; prints ratios and writes JSON."""

    quick: bool = False
    """Only the pairs, with less work in each; ends within 3 minutes."""
    out: Path = Path("bench.json")
    """File for the figures."""
    repeats: int = 5
    """Turns of each pair; a quick bench may end with fewer."""
    only: tuple[Part, ...] = ()
    """Parts to measure; all by default. Figures left out are null."""


def seconds(call):
    """Wall time of one call."""
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def measure(pair, repeats, deadline, may_fail):
    """Seconds of each side's first call, of its later ones by turns, and failures.

    The first call compiles. After the `deadline`, a time of `time.monotonic`, there is
    one turn only.
    """
    first, failed, turns = {}, {}, []
    for side, call in pair.sides.items():
        try:
            first[side] = seconds(call)
        except Exception as error:
            if side != may_fail:
                raise
            failed[side] = f"{type(error).__name__}: {error}".splitlines()[0]
    while not turns or (len(turns) < repeats and time.monotonic() < deadline):
        turns.append({side: seconds(pair.sides[side]) for side in first})
    times = {side: [turn[side] for turn in turns] for side in first}
    return first, times, failed


def compare(pair, first, times, failed):
    """The ratios of a pair, speed of ltjax over the other's, and all behind them."""
    ours = np.array(times["ltjax"])
    sides, ratios = {}, {}
    for side, theirs in times.items():
        middle = float(np.median(theirs))
        sides[side] = {
            "per_second": pair.work / middle,
            "median_seconds": middle,
            "first_seconds": first[side],
            "seconds": theirs,
        }
        if side != "ltjax":
            low, median, high = np.percentile(np.array(theirs) / ours, (25, 50, 75))
            ratios[side] = {
                "median": float(median),
                "quartiles": [float(low), float(high)],
            }
    return {
        "unit": f"{pair.unit} per second",
        "work": pair.work,
        "repeats": len(ours),
        "sides": sides,
        "ratios": ratios,
        "failed": failed,
    }


def share_of_epoch(found, images):
    """Seconds of one SWAG update over those of an epoch; None if not measured."""
    if not {"swag_update", "train_step"} <= found.keys():
        return None
    rates = [
        found[name]["sides"]["ltjax"]["per_second"]
        for name in ("swag_update", "train_step")
    ]
    updates, trained = rates
    return (1 / updates) / (images / trained)


def environment(threads):
    """What the figures depend on besides the code."""
    return {
        "commit": versions.commit(),
        "python": platform.python_version(),
        "packages": {
            "ltjax": ltjax.__version__,
            **{name: importlib.metadata.version(name) for name in PACKAGES},
        },
        "threads": threads,
        "machine": platform.machine(),
        "processor": machine.processor(),
        "load_average": os.getloadavg(),
    }


def bench(options, console):
    """Measures what the options ask for; returns the figures."""
    started = time.monotonic()
    try:
        import pairs
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise Mistake(
            "the bench compares with PyTorch, and torch is not installed; "
            "run `pip install torch==2.13.0`, then `pip install -e '.[bench]'`"
        ) from error
    import growth
    import posterior_pairs
    import whole

    parts = {
        # Long ones last: with little time left they are repeated less often.
        "swag_update": posterior_pairs.swag_update,
        "swa_update": posterior_pairs.swa_update,
        "draws": posterior_pairs.draws,
        "head": pairs.head,
        "evaluation": pairs.evaluation,
        "train_step": pairs.train_step,
        "inference": pairs.inference,
        "refresh": posterior_pairs.refresh,
    }
    before = environment(pairs.use_cpu())
    scale = pairs.QUICK if options.quick else pairs.FULL
    deadline = started + QUICK_SECONDS if options.quick else float("inf")

    def wanted(part):
        return not options.only or part in options.only

    found, detail = {}, {}
    if wanted("digits") and not options.quick:
        console.print("whole runs on the digits ...")
        detail["digits"] = whole.digits()
    for name, build in parts.items():
        if wanted(name):
            console.print(f"{name} ...")
            pair = build(scale)
            measured = measure(pair, options.repeats, deadline, pairs.MAY_FAIL)
            found[name] = {"what": build.__doc__, **compare(pair, *measured)}
    if wanted("peak") and not options.quick:
        console.print("peak memory ...")
        detail["peak_mebibytes"] = {
            name: whole.peaks(parts[name], pairs.QUICK)
            for name in ("train_step", "inference", "refresh")
        }
    if wanted("growth") and not options.quick:
        detail["growth"] = {}
        for name, (point, sizes) in growth.axes().items():
            console.print(f"{name} ...")
            detail["growth"][name] = growth.curve(point, sizes)
    medians = {
        name: found[name]["ratios"]["torch"]["median"] if name in found else None
        for name in REQUIRED
    }
    return {
        **medians,
        "swag_update_share_of_epoch": share_of_epoch(found, pairs.COUNT),
        "detail": {
            "pairs": found,
            **detail,
            "environment": before,
            "options": dataclasses.asdict(options) | {"out": options.out.name},
            "seconds": time.monotonic() - started,
        },
    }


def show(figures, console):
    """Prints the ratios and, where there is one, the target of each."""
    table = Table("part", "against", "ltjax", "other", "ratio", "quartiles", "target")
    for name, pair in figures["detail"]["pairs"].items():
        for side, ratio in pair["ratios"].items():
            rates = (pair["sides"][s]["per_second"] for s in ("ltjax", side))
            target = TARGETS.get(name, {}).get(side)
            table.add_row(
                name,
                side,
                *(f"{rate:,.0f}" for rate in rates),
                f"{ratio['median']:.2f}",
                "–".join(f"{quartile:.2f}" for quartile in ratio["quartiles"]),
                "" if target is None else f"≥ {target:.2f}",
            )
        for side, error in pair["failed"].items():
            table.add_row(name, side, "", error, "", "", "")
    if table.row_count:
        console.print(table)
    share = figures["swag_update_share_of_epoch"]
    if share is not None:
        console.print(
            f"SWAG update: {100 * share:.3f} % of an epoch, target: below 1 %"
        )
    for name, axis in figures["detail"].get("growth", {}).items():
        slopes = (
            f"{quantity} {'-' if value is None else format(value, '.2f')}"
            for quantity, value in axis["slopes"].items()
        )
        console.print(f"slope of {name}: {', '.join(slopes)}", soft_wrap=True)
    for name, peaks in figures["detail"].get("peak_mebibytes", {}).items():
        each = ", ".join(f"{side} {peak:.0f} MiB" for side, peak in peaks.items())
        console.print(f"peak memory of {name}: {each}", soft_wrap=True)
    for name, run in figures["detail"].get("digits", {}).items():
        console.print(
            f"digits, {name} cache: {run['seconds']:.1f} s (target: 60 s), first epoch "
            f"after {run['seconds_to_first_epoch']:.1f} s (target: 15 s when warm), "
            f"at most {run['peak_mebibytes']:.0f} MiB",
            soft_wrap=True,
        )


def check(options):
    """Raises `Mistake` for options that cannot be."""
    if options.repeats < 1:
        raise Mistake(f"--repeats is {options.repeats}; it must be at least 1")
    long = [part for part in options.only if part in ("peak", "growth", "digits")]
    if options.quick and long:
        raise Mistake(f"--quick leaves out {long[0]}; drop one of the two")
    if not options.out.absolute().parent.is_dir() or options.out.is_dir():
        raise Mistake(f"--out {options.out} is not a file in an existing folder")


def main(args):
    """Runs one command line; returns the exit code."""
    options = tyro.cli(Options, prog="python experiments/bench.py", args=args)
    console = Console()

    def work():
        check(options)
        figures = bench(options, console)
        options.out.write_text(json.dumps(figures, indent=1) + "\n")
        show(figures, console)
        console.print(f"figures are in {options.out}", soft_wrap=True)

    return exit_code(work, "bench")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
