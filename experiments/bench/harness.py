"""Turns, quartiles, compiling, processes, and what figures depend on besides."""

import concurrent.futures
import contextlib
import importlib.metadata
import multiprocessing
import os
import platform
import time
from pathlib import Path

import jax
import numpy as np

from ltjax import machine
from ltjax.mistake import Mistake
from ltjax.workdir import versions

PACKAGES = ("ltjax", "jax", "jaxlib", "flax", "optax", "numpy", "torch")


def header():
    """What the figures depend on besides the code; JAX is not begun by it."""
    found = {name: _version(name) for name in PACKAGES}
    return {
        "commit": versions.commit(),
        "python": platform.python_version(),
        "packages": {name: version for name, version in found.items() if version},
        "threads": machine.threads(),
        "machine": platform.machine(),
        "processor": machine.processor(),
        "load_average": os.getloadavg(),
    }


def _version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def seconds(call):
    """Wall time of one call."""
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def ready(function):
    """`function` that waits for its results, as PyTorch does on a CPU."""
    return lambda: jax.block_until_ready(function())


def by_turns(calls, repeats, deadline=float("inf"), may_fail=None):
    """Seconds of each call's first time, of its later ones by turns, and failures.

    The first time compiles. After the `deadline`, a time of `time.monotonic`, there is
    one turn only. The call `may_fail` is left out when it does.
    """
    first, failed, turns = {}, {}, []
    for name, call in calls.items():
        try:
            first[name] = seconds(call)
        except Exception as error:
            if name != may_fail:
                raise
            failed[name] = f"{type(error).__name__}: {error}".splitlines()[0]
    while not turns or (len(turns) < repeats and time.monotonic() < deadline):
        turns.append({name: seconds(calls[name]) for name in first})
    return first, {name: [turn[name] for turn in turns] for name in first}, failed


def median(function, repeats):
    """Median seconds of a function of JAX after its first time."""
    _, times, _ = by_turns({"ltjax": ready(function)}, repeats)
    return float(np.median(times["ltjax"]))


def ratio(times, others):
    """Median and quartiles of `times` over `others`, turn by turn."""
    low, median, high = np.percentile(np.divide(times, others), (25, 50, 75))
    return {"median": float(median), "quartiles": [float(low), float(high)]}


def compiled(function, *args, donate=()):
    """A program, the seconds of compiling it, and what the compiler says it takes."""
    begin = time.perf_counter()
    program = jax.jit(function, donate_argnums=donate).lower(*args).compile()
    return program, time.perf_counter() - begin, program.memory_analysis()


def resident(name="VmHWM", process="self"):
    """Bytes of a process in memory, "VmRSS", or the most that there were, on Linux.

    None of a process that has ended. `getrusage` would count what the parent held.
    """
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith(name):
                return 1024 * int(line.split()[1])
    return None


def apart(function, *args):
    """What a function of a module returns in a process of its own."""
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, spawn) as pool:
        return pool.submit(function, *args).result()


def check_repeats(flags, least=1):
    """Refuses too few turns."""
    if flags.repeats < least:
        raise Mistake(f"--repeats is {flags.repeats}; it must be at least {least}")
