"""Processes beside each other: what devices each gets, and how they end.

Of the accelerators only GPUs are shared out, by CUDA_VISIBLE_DEVICES.
"""

import os
import signal
import subprocess
import sys
import threading
import time

from ltjax.mistake import Mistake


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


def run(commands, environments, stopping, errors_only=False):
    """Runs {seed: words of a command}, one at a time in each of the environments.

    What they print is passed on, after their seed. After a failure none is begun, and
    those that run go on to their end. Once `stopping()` gives a code they are asked to
    stop, which saves what they have. Returns the exit codes of all that were begun.
    """
    waiting, free = list(commands), list(environments)
    running, codes, asked = {}, {}, None
    try:
        while running or (waiting and not asked and not any(codes.values())):
            while waiting and free and not asked and not any(codes.values()):
                seed, environment = waiting.pop(0), free.pop(0)
                process = _begun(commands[seed], environment, seed, errors_only)
                running[seed] = process, environment
            if not asked and (asked := stopping()):
                for process, _ in running.values():
                    process.send_signal(signal.SIGTERM)
            for seed, (process, environment) in list(running.items()):
                if process.poll() is not None:
                    code = process.wait()
                    codes[seed] = 128 - code if code < 0 else code
                    free.append(environment)
                    del running[seed]
            time.sleep(0.1)
    finally:
        for process, _ in running.values():
            process.terminate()
    return codes


def _begun(words, environment, seed, errors_only):
    process = subprocess.Popen(
        words,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL if errors_only else subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        # A terminal's Ctrl-C is for this process to pass on: two of them end a run.
        start_new_session=True,
    )
    for pipe, out in ((process.stdout, sys.stdout), (process.stderr, sys.stderr)):
        if pipe:
            threading.Thread(target=_pass_on, args=(pipe, out, seed)).start()
    return process


def _pass_on(pipe, out, seed):
    with pipe:
        for line in pipe:
            out.write(f"seed {seed}: {line}")
            out.flush()
