"""Every part of a run beside PyTorch on a CPU, by turns in one process.

Needs `pip install torch==2.13.0`, then the extra `[bench]`. The parts (`pairs.py`,
`posterior_pairs.py`) have the same data, batches and threads in both libraries; what is
reported is the median over the turns of the ratio of speeds, with its quartiles. The
long bench also tries other batches in PyTorch's inference, torch.compile, peak memory,
growth with N, M, K, C and the model (`growth.py`), and whole runs on the digits with a
cold and a warm compilation cache (`whole.py`).
"""

import time

import measured
import numpy as np

from bench import harness
from ltjax.mistake import Mistake

REQUIRED = ("train_step", "inference", "refresh", "head")
# Long ones last: with little time left they are repeated less often.
PAIRS = (
    *("swag_update", "swa_update", "draws", "head", "evaluation"),
    *("train_step", "inference", "refresh"),
)
LONG = ("peak", "growth", "digits")
# A quick bench stops repeating then; every part is timed at least once.
QUICK_SECONDS = 110


def flags(parser):
    """Adds the part's flags."""
    add = parser.add_argument
    add("--quick", action="store_true", help="only the pairs, with less work in each")
    add("--repeats", type=int, default=5, help="turns; a quick bench may have fewer")
    add("--only", nargs="+", choices=(*PAIRS, *LONG), help="what to measure: all")


def measure(flags):
    """The figures that the flags ask for; those left out are null."""
    harness.check_repeats(flags)
    long = [part for part in flags.only or () if part in LONG]
    if flags.quick and long:
        raise Mistake(f"--quick leaves out {long[0]}; drop one of the two")
    started = time.monotonic()
    try:
        from bench import pairs
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise Mistake(
            "the bench compares with PyTorch, and torch is not installed; "
            "run `pip install torch==2.13.0`, then `pip install -e '.[bench]'`"
        ) from error
    from bench import growth, posterior_pairs, whole

    pairs.use_cpu()
    makers = vars(pairs) | vars(posterior_pairs)
    build = {name: makers[name] for name in PAIRS}
    scale = pairs.QUICK if flags.quick else pairs.FULL
    deadline = started + QUICK_SECONDS if flags.quick else float("inf")
    wanted = flags.only or (PAIRS if flags.quick else PAIRS + LONG)
    detail = {"pairs": {}}
    if "digits" in wanted:
        print("whole runs on the digits ...", flush=True)
        detail["digits"] = whole.digits()
    for name, make in build.items():
        if name in wanted:
            print(f"{name} ...", flush=True)
            pair = make(scale)
            turns = harness.by_turns(
                pair.sides, flags.repeats, deadline, pairs.MAY_FAIL
            )
            detail["pairs"][name] = {"what": make.__doc__, **compare(pair, *turns)}
    if "peak" in wanted:
        print("peak memory ...", flush=True)
        detail["peak_mebibytes"] = {
            name: whole.peaks(build[name], pairs.QUICK)
            for name in ("train_step", "inference", "refresh")
        }
    if "growth" in wanted:
        print("growth ...", flush=True)
        detail["growth"] = {
            name: growth.curve(*axis) for name, axis in growth.axes().items()
        }
    found = detail["pairs"]
    medians = {
        name: found[name]["ratios"]["torch"]["median"] if name in found else None
        for name in REQUIRED
    }
    options = {"quick": flags.quick, "out": flags.out.name, "repeats": flags.repeats}
    return {
        **medians,
        "swag_update_share_of_epoch": share_of_epoch(found, pairs.COUNT),
        "detail": {
            **detail,
            "options": {**options, "only": flags.only or []},
            "seconds": time.monotonic() - started,
        },
    }


def compare(pair, first, times, failed):
    """The ratios of a pair, speed of ltjax over the other's, and all behind them."""
    sides = {
        side: {
            "per_second": pair.work / float(np.median(turns)),
            "median_seconds": float(np.median(turns)),
            "first_seconds": first[side],
            "seconds": turns,
        }
        for side, turns in times.items()
    }
    return {
        "unit": f"{pair.unit} per second",
        "work": pair.work,
        "repeats": len(times["ltjax"]),
        "sides": sides,
        "ratios": {
            side: harness.ratio(turns, times["ltjax"])
            for side, turns in times.items()
            if side != "ltjax"
        },
        "failed": failed,
    }


def share_of_epoch(found, images):
    """Seconds of one SWAG update over those of an epoch; None if not measured."""
    if not {"swag_update", "train_step"} <= found.keys():
        return None
    updates, trained = (
        found[name]["sides"]["ltjax"]["per_second"]
        for name in ("swag_update", "train_step")
    )
    return (1 / updates) / (images / trained)


def told(figures):
    """The tables of what was measured."""
    detail = figures["detail"]
    yield measured.bench(figures)
    tables = {
        "growth": measured.growth,
        "peak_mebibytes": measured.peaks,
        "digits": measured.digits,
    }
    yield from (make(figures) for name, make in tables.items() if name in detail)
    if len(detail["pairs"]) == len(PAIRS) and tables.keys() <= detail.keys():
        yield measured.targets(figures)
