"""What processes of one run do for each other, against what they did before.

    python experiments/together.py --out together.json

Two processes with two devices each on this machine. `batch`: a batch of images put on
all devices from what every process has, against `jax.device_put`, which sends it to all
to compare it; by turns. `files`: the work of a process, in seconds of a core, to look
at all image files of a folder by itself and when the two divide them.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jax
import numpy as np
from PIL import Image

from ltjax import machine
from ltjax.data import listing, streamed
from ltjax.mistake import Mistake
from ltjax.runtime import devices, hosts
from ltjax.runtime.command import exit_code
from ltjax.workdir import versions
from ltjax.workdir.files import write_json

PROCESSES = 2


def sent(shape, repeats):
    """Seconds of every turn of both ways, the first turn left out."""
    batch = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    everywhere = devices.everywhere()
    ways = {
        "device_put": lambda: jax.device_put(batch, everywhere),
        "whole": lambda: devices.whole(batch),
    }
    times = {name: [] for name in ways}
    for turn in range(repeats + 1):
        for name, way in ways.items():
            begin = time.perf_counter()
            jax.block_until_ready(way())
            if turn:
                times[name].append(time.perf_counter() - begin)
    return times


def looked(folder):
    """Files read by this process and seconds of a core, alone and divided."""
    files = listing.folder(folder)
    read, found, digests = streamed.Files(files.root, files.paths).read, {}, []
    for name, divided in (("alone", streamed.alone), ("divided", hosts.divided)):
        numbers = []

        def counted(number, numbers=numbers):
            numbers.append(number)
            return read(number)

        begin = time.process_time()
        seen = streamed.looked_at(counted, len(files.paths), divided=divided)
        digests.append(seen[0])
        found[name] = {"files": len(numbers), "seconds": time.process_time() - begin}
    np.testing.assert_array_equal(*digests)
    return found


def photos(folder, count, side):
    """Writes so many photographs of noise, in two classes."""
    rng = np.random.default_rng(0)
    for at in range(count):
        path = folder / "ab"[at % 2] / f"{at:05d}.jpg"
        path.parent.mkdir(exist_ok=True)
        coarse = rng.integers(0, 256, (side // 8, side // 8, 3), np.uint8)
        Image.fromarray(coarse).resize((side, side)).save(path, quality=90)


def spawn(flags, folder):
    """What every process tells."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
    own = ("--batch", *map(str, flags.batch), "--repeats", str(flags.repeats))
    processes = [
        subprocess.Popen(
            [sys.executable, __file__, *own, "--worker", folder, address, str(index)],
            env={**os.environ, "JAX_NUM_CPU_DEVICES": "2", "JAX_PLATFORMS": "cpu"},
            stdout=subprocess.PIPE,
            text=True,
        )
        for index in range(PROCESSES)
    ]
    said = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        raise Mistake("a process ended; what it printed is above")
    return [json.loads(text.splitlines()[-1]) for text in said]


def read(args):
    """The flags of a command line, checked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--batch", type=int, nargs=4, default=[64, 224, 224, 3])
    add("--repeats", type=int, default=15)
    add("--files", type=int, default=400)
    add("--side", type=int, default=400, help="pixels")
    add("--out", type=Path)
    add("--worker", nargs=3, help=argparse.SUPPRESS)
    flags = parser.parse_args(args)
    if flags.repeats < 2:
        raise Mistake(f"--repeats is {flags.repeats}; it must be at least 2")
    if flags.out and not flags.out.absolute().parent.is_dir():
        raise Mistake(f"--out {flags.out} lies in no folder; make it first")
    return flags


def measure(args):
    """Runs one command line."""
    flags = read(args)
    if flags.worker:
        folder, address, index = flags.worker
        hosts.join(address, PROCESSES, int(index))
        told = {"batch": sent(flags.batch, flags.repeats), "files": looked(folder)}
        print(json.dumps(told))
        return
    with tempfile.TemporaryDirectory() as folder:
        photos(Path(folder), flags.files, flags.side)
        told = spawn(flags, folder)
    times = told[0]["batch"]
    ratios = [a / b for a, b in zip(times["device_put"], times["whole"])]
    figures = {
        "commit": versions.commit(),
        "processor": machine.processor(),
        "cores": machine.cores(),
        "versions": {"jax": jax.__version__},
        "batch": flags.batch,
        "ratio": statistics.median(ratios),
        "quartiles": statistics.quantiles(ratios, n=4)[::2],
        "milliseconds": {
            name: 1000 * statistics.median(turns) for name, turns in times.items()
        },
        "side": flags.side,
        "files": [each["files"] for each in told],
    }
    print(json.dumps(figures, indent=1))
    if flags.out:
        write_json(flags.out, figures)


def main(args):
    """Runs one command line; returns the exit code."""
    return exit_code(lambda: measure(args), "together")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
