"""Whole processes: peak memory of each side of a pair, and runs on the digits.

Peaks are read from /proc, where Linux keeps them per program; `getrusage` would count
what the parent of a process held when it started it. They include the interpreter and
its libraries.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench import harness, pairs
from ltjax.workdir import events

CONFIG = "digits_lt"


def high_water(process="self"):
    """Peak resident memory of a live process so far, MiB; None where unknown."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return None
    kibibytes = [line.split()[1] for line in lines if line.startswith("VmHWM")]
    return int(kibibytes[0]) / 1024 if kibibytes else None


def peaks(build, scale):
    """Peak memory of a process that only builds the pair, and of one per side."""
    return {
        side or "neither": harness.apart(_peak, build, scale, side)
        for side in (None, "ltjax", "torch")
    }


def _peak(build, scale, side):
    pairs.use_cpu()
    sides = build(scale).sides
    if side:
        sides[side]()
    return high_water()


def digits():
    """The run of `configs/digits_lt.py`, with a cold and a warm compilation cache."""
    with tempfile.TemporaryDirectory() as place:
        return {name: _run(Path(place), name) for name in ("cold", "warm")}


def _run(place, name):
    cache = {"JAX_COMPILATION_CACHE_DIR": str(place / "cache")}
    out, begin, first, peak = place / name, time.monotonic(), None, None
    command = ("-m", "ltjax.main", "--config", CONFIG, "--out", str(out))
    process = subprocess.Popen(
        (sys.executable, *command),
        env=os.environ | cache,
        stdout=subprocess.DEVNULL,
    )
    while process.poll() is None:
        peak = high_water(process.pid) or peak
        # The first sign of a training step is the event of its epoch, a little later.
        if not first and any(e["event"] == "epoch" for e in events.events(out)):
            first = time.monotonic() - begin
        time.sleep(0.05)
    if process.returncode:
        raise RuntimeError(f"the run on the digits ended with {process.returncode}")
    return {
        "seconds": time.monotonic() - begin,
        "seconds_to_first_epoch": first,
        "peak_mebibytes": peak,
    }
