"""Whole processes: peak memory of each side of a pair, and runs on the digits.

Peaks include the interpreter and its libraries.
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
    return harness.resident() / 2**20


def digits():
    """The run of `configs/digits_lt.py`, with a cold and a warm compilation cache."""
    with tempfile.TemporaryDirectory() as place:
        return {name: _run(Path(place), name) for name in ("cold", "warm")}


def _run(place, name):
    cache = {"JAX_COMPILATION_CACHE_DIR": str(place / "cache")}
    out, begin, first, peak = place / name, time.monotonic(), None, 0
    command = ("-m", "ltjax.main", "--config", CONFIG, "--out", str(out))
    process = subprocess.Popen(
        (sys.executable, *command),
        env=os.environ | cache,
        stdout=subprocess.DEVNULL,
    )
    while process.poll() is None:
        peak = harness.resident(process=process.pid) or peak
        # The first sign of a training step is the event of its epoch, a little later.
        if not first and any(e["event"] == "epoch" for e in events.events(out)):
            first = time.monotonic() - begin
        time.sleep(0.05)
    if process.returncode:
        raise RuntimeError(f"the run on the digits ended with {process.returncode}")
    return {
        "seconds": time.monotonic() - begin,
        "seconds_to_first_epoch": first,
        "peak_mebibytes": peak / 2**20,
    }
