"""Images a second that the input pipeline delivers, for several numbers of workers.

    python experiments/pipeline.py FOLDER --size 224 --images 1024 --workers 0 1 2 \
        --out pipeline.json

The ImageNet recipe: decode, random resized crop, flip, colours. `first` are the seconds
until the first batch is there, workers starting included; `rate` the images a second of
the others, with nobody but a reader taking them; `told` what the reader itself says it
could deliver, as a run prints it. Workers are processes; 0 is threads of this one.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from ltjax import machine
from ltjax.data import crops, listing, stream, streamed
from ltjax.mistake import Mistake
from ltjax.runtime.command import exit_code


def timed(batches, workers):
    """What one pass over the batches takes."""
    begin = time.monotonic()
    with stream.Reader(batches, workers) as reader:
        len(next(reader))
        first = time.monotonic()
        images = sum(len(batch) for batch in reader)
        end = time.monotonic()
        told = reader.rate()
    return {
        "workers": workers,
        "first": first - begin,
        "rate": images / (end - first),
        "told": told,
    }


def read(args):
    """The flags of a command line. Raises `Mistake` for what cannot be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--images", type=int, default=1024)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args(args)
    least = {"size": 8, "batch_size": 1, "images": asked.batch_size}
    for name, limit in least.items():
        if getattr(asked, name) < limit:
            flag = name.replace("_", "-")
            raise Mistake(
                f"--{flag} is {getattr(asked, name)}; it must be at least {limit}"
            )
    if min(asked.workers) < 0:
        raise Mistake(f"--workers {min(asked.workers)} is no number of processes")
    if asked.out and not asked.out.absolute().parent.is_dir():
        raise Mistake(f"--out {asked.out} lies in no folder; make it first")
    return asked


def measure(args):
    """Times every number of workers on the same images, and writes a JSON file."""
    asked = read(args)
    files = listing.folder(asked.folder)
    # Some more than asked for, in place of those that cannot be read.
    numbers = streamed.spaced(len(files.paths), asked.images * 11 // 10)
    some = streamed.Files(files.root, tuple(files.paths[at] for at in numbers))
    begin = time.monotonic()
    digests, bad, _ = streamed.looked_at(some.read, len(numbers))
    checking = len(numbers) / (time.monotonic() - begin)
    good = np.array([at for at in range(len(numbers)) if at not in bad])
    recipe = crops.Crop(asked.size, area=0.08, flip=True, jitter=0.4)
    images = streamed.Pictures(some, good, digests[good], recipe)
    steps = min(asked.images, len(good)) // asked.batch_size
    if not steps:
        raise Mistake(f"{asked.folder} has {len(good)} images, less than a batch")
    rows = np.random.default_rng(0).permutation(len(good))
    rows = rows[: steps * asked.batch_size].reshape(steps, asked.batch_size)
    batches = stream.of_epoch(images, rows, (0, 0))
    found = [timed(batches, workers) for workers in asked.workers]
    table = Table(title=f"{steps} batches of {asked.batch_size}, {asked.size} pixels")
    for name in ("workers", "first", "rate", "told"):
        table.add_column(name, justify="right")
    for row in found:
        first, rate, told = (f"{row[name]:.1f}" for name in ("first", "rate", "told"))
        table.add_row(str(row["workers"]), first, rate, told)
    console = Console()
    console.print(table)
    console.print(f"checking files: {checking:.0f} images/s")
    if asked.out:
        record = {
            "cores": machine.cores(),
            "processor": machine.processor(),
            "load": os.getloadavg()[0],
            "recipe": recipe._asdict(),
            "batch_size": asked.batch_size,
            "batches": steps,
            "checking": checking,
            "rows": found,
        }
        asked.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(exit_code(lambda: measure(sys.argv[1:]), "pipeline"))
