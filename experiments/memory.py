"""Memory of every stage at a few numbers of images, and at that of two large sets.

    python experiments/memory.py --out memory.json

Features have 2,048 dimensions, of a mean and ten draws; classes are those of the sets.
A device's figure is what XLA's compiler says of a stage's program: arguments, outputs
and scratch. A host's is the growth of a fresh process that does the stage, of its
anonymous memory: pages of a mapped file can be given back at any time. On a CPU that
growth has the arrays of the device in it, too. A line through four sizes gives bytes
per image, and the figure of a whole set.
"""

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import threading
import time
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import memory_programs
import numpy as np
import optax

from ltjax import feature_file, revision, scoring
from ltjax.classifier import linear, ncm, train
from ltjax.mistake import Mistake, exit_code
from ltjax.report.writer import write_json

DIM, DRAWS, VIEWS = 2048, 10, 4
SETS = {
    "ImageNet-LT": {"train": 115_846, "test": 50_000, "classes": 1000},
    "iNaturalist 2018": {"train": 437_513, "test": 24_426, "classes": 8142},
}
LIMITS = {"device": 40e9, "host": 64e9}
SIZES = (2000, 4000, 6000, 8000)
NOTE = """
Images have 224 pixels a side; the network of the stages on images is small, as its
activations do not grow with their number: they, and a real one's weights, come on top.
The rows of draws and dispersions were measured with 64 dimensions, since what they form
of all draws has one number for each class; the mean of training images comes from
memory.check. Heads are counted at the true number of classes; what the host gathers
for them, with a loss that does nothing.
"""


def stages():
    """{name: (side, images, function(N, classes) that does it)} of the host's stages.

    `images` says whose number grows, "train" or "test".
    """
    return {
        "a view in memory": ("host", "train", _in_memory),
        "a view in a file, written": ("host", "train", _written),
        "a view in a file, mapped": ("host", "train", _mapped),
        "heads, batches gathered": ("host", "train", _gathered),
        "nearest class means": ("host", "train", _means),
        "a row, one pass": ("device", "test", _one_pass),
        "a row, mean of the draws": ("device", "test", _draws),
        "dispersion": ("device", "test", _dispersion),
        "top labels": ("device", "test", _labels),
    }


def _features(folder, members, count, dim=DIM):
    """Features of zeros, mapped from a file that has no blocks on the disk."""
    shape = (count, members, dim)
    file = Path(folder) / f"{members}-{count}-{dim}.npy"
    stored = np.lib.format.open_memmap(file, "w+", np.float32, shape)
    return np.moveaxis(stored, 1, 0)


def _in_memory(folder, count, classes):
    features = _features(folder, 1 + DRAWS, count)
    _write(folder, features)
    return feature_file.loaded(Path(folder) / "view.npy")


def _written(folder, count, classes):
    _write(folder, _features(folder, 1 + DRAWS, count))


def _mapped(folder, count, classes):
    features = _features(folder, 1 + DRAWS, count)
    # As an epoch reads it, whole in the end.
    for rows in np.array_split(np.random.default_rng(0).permutation(count), 20):
        features[:, rows].sum()


def _write(folder, features):
    parts = np.array_split(np.arange(features.shape[1]), features.shape[1] // 500)
    like = jax.ShapeDtypeStruct(features.shape, jnp.dtype("float32"))
    file = Path(folder) / "view.npy"
    parts = (features[:, part[0] : part[-1] + 1] for part in parts)
    feature_file.seal(file, like, feature_file.write(file, like, parts))


def _gathered(folder, count, classes):
    features = _features(folder, 1 + DRAWS, count)
    rows = np.random.default_rng(0).permutation(count)[: count // 128 * 128]
    train.fit(
        jnp.zeros(()),
        lambda params, z, y: params + z[0, :, 0],
        optax.sgd(0.1),
        lambda epoch: features,
        np.zeros(count, np.int32),
        lambda epoch: rows.reshape(-1, 128),
        1,
    )


def _means(folder, count, classes):
    features = _features(folder, 1, count)[0]
    ncm.init(features, np.arange(count) % classes, classes)


def _row(make, members, dim, folder, count, classes):
    features = _features(folder, members, count, dim)
    log_probs = make(linear.logits, linear.init(jax.random.key(0), dim, classes))
    labels = np.arange(count) % classes
    scoring.score(log_probs, features, labels, np.full(classes, 10))


_one_pass = partial(_row, scoring.one_pass, 1, DIM)
_draws = partial(_row, scoring.every_draw, DRAWS, 64)


def _dispersion(folder, count, classes):
    features = _features(folder, DRAWS, count, 64)
    head = linear.init(jax.random.key(0), 64, classes)
    labels = np.arange(count) % classes
    scoring.dispersion_per_class(
        partial(linear.logits, head), features, labels, classes
    )


def _labels(folder, count, classes):
    head = linear.init(jax.random.key(0), DIM, classes)
    log_probs = scoring.one_pass(linear.logits, head)
    scoring.top_labels(log_probs, _features(folder, 1, count))


def anonymous():
    """Bytes of this process that no file stands behind."""
    with open("/proc/self/status") as status:
        (line,) = (line for line in status if line.startswith("RssAnon"))
    return 1024 * int(line.split()[1])


class Peak:
    """A context that knows by how much the process has grown at most."""

    def __enter__(self):
        self._begin, self.bytes, self._ended = anonymous(), 0, False
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._ended = True
        self._thread.join()

    def _watch(self):
        while not self._ended:
            self.bytes = max(self.bytes, anonymous() - self._begin)
            time.sleep(0.002)


def work(send, name, count, classes):
    """What one of the processes does: sends the bytes by which it grew."""
    with tempfile.TemporaryDirectory() as folder:
        jnp.zeros(1).block_until_ready()
        with Peak() as peak:
            kept = stages()[name][2](folder, count, classes)
            del kept
    send.send(peak.bytes)


def grown(name, count, classes):
    """The bytes by which a fresh process grows."""
    take, send = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(
        target=work, args=(send, name, count, classes)
    )
    process.start()
    process.join()
    if process.exitcode:
        raise Mistake(f"{name} of {count} images ended with {process.exitcode}")
    return take.recv()


def line(name, side, images, classes, found, known):
    """A row: the line through (images, bytes), and its figure at the whole set."""
    slope, rest = np.polyfit([size for size, _ in found], [b for _, b in found], 1)
    # A flat line is below zero at zero only by noise.
    whole = max(slope, 0) * known[images] + max(rest, 0)
    return {
        "stage": name,
        "side": side,
        "classes": classes,
        "points": found,
        "bytes_per_image": float(slope),
        "bytes": float(whole),
        "fits": bool(whole <= LIMITS[side]),
    }


def measure(flags):
    """All rows of both sets."""
    rows = []
    for name, known in SETS.items():
        classes = known["classes"]
        for stage, (side, images, _) in stages().items():
            found = [(size, grown(stage, size, classes)) for size in flags.sizes]
            rows.append(
                {"set": name, **line(stage, side, images, classes, found, known)}
            )
            print(json.dumps({k: v for k, v in rows[-1].items() if k != "points"}))
        for stage, (images, program) in memory_programs.programs(classes).items():
            found = [(size, program(size)) for size in flags.sizes]
            rows.append(
                {"set": name, **line(stage, "device", images, classes, found, known)}
            )
            print(json.dumps({k: v for k, v in rows[-1].items() if k != "points"}))
    return rows


def read(args):
    """The flags of a command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--sizes", type=int, nargs="+", default=list(SIZES), help="numbers of images")
    add("--out", type=Path, help="JSON file to write")
    return parser.parse_args(args)


def tell(args):
    """Measures what a command line asks for, and writes it."""
    flags = read(args)
    if len(set(flags.sizes)) < 2 or min(flags.sizes) < 1000:
        raise Mistake(f"--sizes are {flags.sizes}; give two or more, from 1000 on")
    if flags.out and not flags.out.parent.is_dir():
        raise Mistake(f"--out {flags.out} lies in no folder; make it first")
    rows = measure(flags)
    whole = memory_programs.whole_runs(SETS, LIMITS)
    print(NOTE.rstrip())
    if flags.out:
        versions = {"jax": jax.__version__, "numpy": np.__version__}
        settings = {"dim": DIM, "draws": DRAWS, "sizes": flags.sizes, "sets": SETS}
        made = {"commit": revision.commit(), "versions": versions, "limits": LIMITS}
        note = {"note": " ".join(NOTE.split())}
        write_json(
            flags.out, {**made, "settings": settings, "rows": rows, **whole, **note}
        )


def main(args):
    """Runs one command line; returns the exit code."""
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    return exit_code(lambda: tell(args), "memory")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
