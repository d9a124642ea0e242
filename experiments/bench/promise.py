"""What `inspect` says that a run takes, against the run, on three numbers of images.

The images are noise in an .npz, of ten classes, the rarest a tenth of the largest. The
config is the one that is proposed, with fewer epochs. The run has a compilation cache
of its own, empty at first, and the machine to itself.
"""

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from bench import harness
from ltjax.config import file as config_file
from ltjax.data import longtail
from ltjax.mistake import Mistake
from ltjax.runtime.command import compile_quickly

CLASSES, TEST, PIXELS = 10, 20, 32


def flags(parser):
    """Adds the part's flags."""
    add = parser.add_argument
    add("--images", type=int, nargs="+", default=[500, 3000, 9000], help="to train on")
    add("--epochs", type=int, default=8, help="of each backbone")


def measure(flags):
    """The figures of the file."""
    if min(flags.images) < 20 * CLASSES or flags.epochs < 4:
        raise Mistake("--images needs 200 or more each, --epochs 4 or more")
    return {"rows": [_of(images, flags.epochs) for images in flags.images]}


def _of(images, epochs):
    with tempfile.TemporaryDirectory() as place:
        place = Path(place)
        train, test = _written(place, images)
        config = place / "own.py"
        _python("ltjax.inspect", train, "--test", test, "--config-out", config)
        less = "--optim.epochs", epochs, "--optim.warmup-epochs", 1
        told = harness.apart(_estimate, config, images, epochs)
        begin = time.monotonic()
        out = place / "run"
        _python("ltjax.main", "--config", config, "--out", out, *less, cache=place)
        taken = time.monotonic() - begin
        stages = json.loads((out / "results.json").read_text())["seconds"]
    return {
        "images": images,
        "estimate": told,
        "seconds": taken,
        "stages": stages,
        "ratio": told["seconds"]["total"] / taken,
    }


def _written(place, images):
    """A file of training images and one of test images."""
    rng = np.random.default_rng(images)
    counts = longtail.exponential_counts(CLASSES, 1000, 10)
    counts = np.maximum(counts * images // counts.sum(), 2)
    files = []
    for name, of in (("train", counts), ("test", np.full(CLASSES, TEST))):
        label = rng.permutation(np.repeat(np.arange(CLASSES), of)).astype(np.int32)
        image = rng.integers(0, 256, (len(label), PIXELS, PIXELS, 3), np.uint8)
        files.append(place / f"{name}.npz")
        np.savez(files[-1], image=image, label=label)
    return files


def _python(module, *words, cache=None):
    kept = {"JAX_COMPILATION_CACHE_DIR": str(cache / "cache")} if cache else {}
    subprocess.run(
        (sys.executable, "-m", module, *map(str, words)),
        env=os.environ | kept,
        stdout=subprocess.DEVNULL,
        check=True,
    )


def _estimate(config, images, epochs):
    compile_quickly()  # as `inspect` and `main` do
    from ltjax.inspect.estimate import estimate

    config = config_file.read(str(config))
    optim = dataclasses.replace(config.optim, epochs=epochs, warmup_epochs=1)
    config = dataclasses.replace(config, optim=optim)
    held = round(images * config.data.validation)
    counts = images - held, CLASSES * TEST + held
    return estimate(config, (PIXELS, PIXELS, 3), CLASSES, *counts)
