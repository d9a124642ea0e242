"""Images a second that the input delivers, for several numbers of workers.

The ImageNet recipe on a folder of images: decode, random resized crop, flip, colours.
`first` are the seconds until the first batch is there, workers starting included;
`rate` the images a second of the others, with nobody but a reader taking them; `told`
what the reader itself says it could deliver, as a run prints it. Workers are processes;
0 is threads of this one.
"""

import time
from pathlib import Path

import numpy as np

from ltjax import machine
from ltjax.data import crops, listing, stream, streamed
from ltjax.mistake import Mistake


def flags(parser):
    """Adds the part's flags."""
    add = parser.add_argument
    add("--folder", type=Path, required=True, help="CLASS/*.jpg")
    add("--size", type=int, default=224)
    add("--batch-size", type=int, default=64)
    add("--images", type=int, default=1024)
    add("--workers", type=int, nargs="+", default=[0, 1, 2])


def timed(batches, workers):
    """What one pass over the batches takes."""
    begin = time.monotonic()
    with stream.Reader(batches, workers) as reader:
        len(next(reader))
        first = time.monotonic()
        images = sum(len(batch) for batch in reader)
        end = time.monotonic()
        told = reader.rate()
    rate = images / (end - first)
    return {"workers": workers, "first": first - begin, "rate": rate, "told": told}


def measure(flags):
    """The figures of every number of workers on the same images."""
    for name, least in ("size", 8), ("batch_size", 1), ("images", flags.batch_size):
        found = getattr(flags, name)
        if found < least:
            flag = f"--{name.replace('_', '-')}"
            raise Mistake(f"{flag} is {found}; it must be at least {least}")
    files = listing.folder(flags.folder)
    # Some more than asked for, in place of those that cannot be read.
    numbers = streamed.spaced(len(files.paths), flags.images * 11 // 10)
    some = streamed.Files(files.root, tuple(files.paths[at] for at in numbers))
    begin = time.monotonic()
    digests, bad, _ = streamed.looked_at(some.read, len(numbers))
    checking = len(numbers) / (time.monotonic() - begin)
    good = np.array([at for at in range(len(numbers)) if at not in bad])
    recipe = crops.Crop(flags.size, area=0.08, flip=True, jitter=0.4)
    images = streamed.Pictures(some, good, digests[good], recipe)
    steps = min(flags.images, len(good)) // flags.batch_size
    if not steps:
        raise Mistake(f"{flags.folder} has {len(good)} images, less than a batch")
    rows = np.random.default_rng(0).permutation(len(good))
    rows = rows[: steps * flags.batch_size].reshape(steps, flags.batch_size)
    batches = stream.of_epoch(images, rows, (0, 0))
    return {
        "cores": machine.cores(),
        "recipe": recipe._asdict(),
        "batch_size": flags.batch_size,
        "batches": steps,
        "checking": checking,
        "rows": [timed(batches, workers) for workers in flags.workers],
    }
