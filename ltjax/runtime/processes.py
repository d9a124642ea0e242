"""Processes beside each other: what devices each gets, and how they end.

Of the accelerators only GPUs are shared out, by CUDA_VISIBLE_DEVICES.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from typing import NamedTuple

from ltjax.mistake import Mistake
from ltjax.runtime.stopping import PARENT


def environments(count, parallel):
    """The environment of each process that is to work at a time; of one, nothing.

    On GPUs there is one process for each of the `count` seeds as long as there are
    devices, with one device each; `parallel` processes share all of them. On CPUs all
    have all cores, and by default there is one. Elsewhere there is one.
    """
    if parallel == 1 or (count == 1 and parallel is None):
        return [{}]
    backend, devices = _devices()
    if backend == "gpu":
        names = _visible(devices)
        return of_gpus(names, parallel or min(count, len(names)), bool(parallel))
    if parallel is None:
        return [{}]
    if backend != "cpu":
        raise Mistake(
            f"parallel is {parallel}; on {backend} it must be 1, the seeds run one "
            "after another, each on all devices"
        )
    return [{}] * parallel


def of_gpus(names, parallel, whole):
    """Environments of processes that share GPUs, all of them if `whole`, or one each.

    Raises `Mistake` where there are fewer GPUs than processes.
    """
    if parallel > len(names):
        raise Mistake(
            f"parallel is {parallel}; it must be at most the {len(names)} GPUs here"
        )
    if parallel == 1:
        return [{}]
    size = len(names) // parallel if whole else 1
    return [
        {"CUDA_VISIBLE_DEVICES": ",".join(names[at * size : (at + 1) * size])}
        for at in range(parallel)
    ]


def _devices():
    """The backend and the number of devices, as another process finds them.

    One that uses a GPU takes most of its memory to itself.
    """
    code = "import jax; print(jax.default_backend(), jax.local_device_count())"
    asked = subprocess.run((sys.executable, "-c", code), capture_output=True, text=True)
    if asked.returncode:
        raise Mistake(f"no devices are found: {asked.stderr.strip().splitlines()[-1]}")
    backend, count = asked.stdout.split()[-2:]
    return backend, int(count)


def _visible(devices):
    """The names of the GPUs that this process may use."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    return given.split(",")[:devices] if given else [str(at) for at in range(devices)]


class _Running(NamedTuple):
    process: subprocess.Popen
    environment: dict
    readers: list  # threads that pass on what it prints


def run(commands, environments, stopping, errors_only=False):
    """Runs {seed: words of a command}, one at a time in each of the environments.

    What they print is passed on, after their seed. After a failure none is begun, and
    those that run go on to their end. Once `stopping()` gives a code they are asked to
    stop, which saves what they have. Returns the exit codes of all that were begun.
    """
    waiting, free = list(commands), list(environments)
    running, codes, asked = {}, {}, None
    try:
        while True:
            while waiting and free and not asked and not any(codes.values()):
                seed = waiting.pop(0)
                words, environment = commands[seed], free.pop(0)
                running[seed] = _begun(words, environment, seed, errors_only)
            if not running:
                return codes
            time.sleep(0.1)
            if not asked and (asked := stopping()):
                for each in running.values():
                    each.process.send_signal(signal.SIGTERM)
            for seed, each in list(running.items()):
                code = each.process.poll()
                if code is not None:
                    for reader in each.readers:
                        reader.join(timeout=5)  # a child of its may hold the pipe
                    codes[seed] = 128 - code if code < 0 else code
                    free.append(each.environment)
                    del running[seed]
    finally:
        for each in running.values():
            each.process.terminate()
        for each in running.values():
            each.process.wait()


def _begun(words, environment, seed, errors_only):
    process = subprocess.Popen(
        words,
        env={**os.environ, **environment, PARENT: str(os.getpid())},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL if errors_only else subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        # A terminal's Ctrl-C is for this process to pass on: two of them end a run.
        start_new_session=True,
    )
    pipes = (process.stdout, sys.stdout), (process.stderr, sys.stderr)
    readers = [
        threading.Thread(target=_pass_on, args=(pipe, out, seed), daemon=True)
        for pipe, out in pipes
        if pipe
    ]
    for reader in readers:
        reader.start()
    return _Running(process, environment, readers)


def _pass_on(pipe, out, seed):
    with pipe:
        for line in pipe:
            # Short, so that a table fits in 80 columns, and in one piece.
            out.write(f"{seed}: {line}".rstrip() + "\n")
            out.flush()
