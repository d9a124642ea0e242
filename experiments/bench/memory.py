"""Memory of every stage at a few numbers of images, and at that of two large sets.

Features have 2,048 dimensions, of a mean and ten draws; classes are those of the sets.
A device's figure is what XLA's compiler says of a stage's program (`programs.py`):
arguments, outputs and scratch. A host's is by how much a fresh process grows that does
the stage, on features that take no memory themselves: zeros that nobody wrote to. On a
CPU that growth has the arrays of the device in it, too. A line through four sizes gives
bytes per image, and the figure of a whole set.
"""

import functools
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from bench import harness, programs
from ltjax.classifier import heads, linear, ncm, train
from ltjax.data import longtail
from ltjax.evaluation import scores
from ltjax.mistake import Mistake
from ltjax.posterior import dispersion
from ltjax.workdir import feature_file

DIM, SMALL, DRAWS = programs.DIM, 64, programs.DRAWS
SETS = {
    "ImageNet-LT": {"train": 115_846, "test": 50_000, "classes": 1000},
    "iNaturalist 2018": {"train": 437_513, "test": 24_426, "classes": 8142},
}
LIMITS = {"device": 40e9, "host": 64e9}
SIZES = [512, 1024, 1536, 2048]
NOTE = (
    "Images have 224 pixels a side; the network of the stages on images is small, as "
    "its activations do not grow with their number: they, and a real one's weights, "
    "come on top. What is done to test images was measured with 64 dimensions, since "
    "what it forms has one number for each class. What the host gathers for heads was "
    "measured with parts of 2 steps and a loss that does nothing; 4 parts of 2^28 "
    "bytes, as a run has them, are added."
)


def flags(parser):
    """Adds the part's flags."""
    text = "numbers of images"
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help=text)


class Stage(NamedTuple):
    """One that a process does."""

    side: str  # whose memory it takes: "device" or "host"
    images: str  # whose number grows: "train" or "test"
    do: Callable  # (folder, N, classes)
    by_class: bool = True  # whether the classes matter
    more: int = 0  # bytes that a run takes beyond what is measured
    sizes: int = 1  # times as many images are needed for a straight line


def stages():
    """Every `Stage` by its name."""
    return {
        "a view in memory": Stage("host", "train", _in_memory, False),
        "a view in a file, written": Stage("host", "train", _written, False),
        # Measured with parts of 2 steps. Those of a run have 2^28 bytes: one that is
        # gathered, its copy in order, and on a CPU two that were sent.
        "heads, batches gathered": Stage("host", "train", _gathered, False, 2**30, 4),
        # Measured with 256 rows at a time, of a run's 4,096: three arrays of them in
        # double precision.
        "nearest class means": Stage("host", "train", _means, more=3 * 8 * DIM * 3840),
        "a row, one pass": Stage("device", "test", _one_pass),
        "a row, mean of the draws": Stage("device", "test", _draws),
        "dispersion": Stage("device", "test", _dispersion),
    }


def _features(members, count, dim=DIM):
    """Features of zeros, which take no memory until they are written to."""
    return np.moveaxis(np.zeros((count, members, dim), np.float32), 1, 0)


def _in_memory(folder, count, classes):
    file = Path(folder) / "view.npy"
    np.lib.format.open_memmap(file, "w+", np.float32, (count, 1 + DRAWS, DIM))
    feature_file.seal(file, jax.ShapeDtypeStruct((), jnp.dtype("float32")), "")
    return feature_file.loaded(file)


def _written(folder, count, classes):
    features = _features(1 + DRAWS, count)
    parts = np.array_split(np.arange(count), count // 250)
    like = jax.ShapeDtypeStruct(features.shape, jnp.dtype("float32"))
    # As they are computed, member after member.
    parts = (np.array(features[:, part], order="C") for part in parts)
    feature_file.write(Path(folder) / "view.npy", like, parts)


def _gathered(folder, count, classes):
    features = _features(1 + DRAWS, count)
    rows = np.random.default_rng(0).permutation(count)[: count // 256 * 256]
    train._AT_ONCE = 1
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
    features = _features(1, count)[0]
    ncm._ROWS = 256
    ncm.init(features, np.arange(count) % classes, classes)


def _row(make, members, dim, folder, count, classes):
    features = _features(members, count, dim)
    log_probs = make(linear.logits, linear.init(jax.random.key(0), dim, classes))
    labels = np.arange(count) % classes
    scores.score(log_probs, features, labels, longtail.groups(np.full(classes, 10)))


_one_pass = partial(_row, heads.one_pass, 1, SMALL)


def _draws(folder, count, classes):
    own = jax.vmap(lambda key: linear.init(key, SMALL, classes))(
        jax.random.split(jax.random.key(1), DRAWS)
    )
    make = partial(heads.every_draw, heads=own)
    _row(make, DRAWS, SMALL, folder, count, classes)


def _dispersion(folder, count, classes):
    features = _features(DRAWS, count, SMALL)
    head = linear.init(jax.random.key(0), SMALL, classes)
    labels = np.arange(count) % classes
    dispersion.per_class(partial(linear.logits, head), features, labels, classes)


def growth(call):
    """By how many bytes the process grows at most while it calls."""
    # Forgets the most that there were.
    Path("/proc/self/clear_refs").write_text("5")
    begin = harness.resident("VmRSS")
    kept = call()
    found = harness.resident() - begin
    del kept
    return found


def work(name, count, classes):
    """The bytes by which this process, a fresh one, grows by a stage."""
    jax.config.update("jax_platforms", "cpu")
    jnp.zeros(1).block_until_ready()
    with tempfile.TemporaryDirectory() as folder:
        return growth(lambda: stages()[name].do(folder, count, classes))


@functools.cache
def grown(name, count, classes):
    """The bytes by which a process of its own grows."""
    return harness.apart(work, name, count, classes)


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


def rows(sizes, name, known):
    """The rows of the set `name`: what processes do, and programs."""
    classes = known["classes"]
    for stage, (side, images, _, by_class, more, factor) in stages().items():
        of = classes if by_class else None
        found = [(n * factor, more + grown(stage, n * factor, of)) for n in sizes]
        yield {"set": name, **line(stage, side, images, classes, found, known)}
    for stage, program in programs.programs(classes).items():
        found = [(size, program(size)) for size in sizes]
        yield {"set": name, **line(stage, "device", "train", classes, found, known)}


def measure(flags):
    """The figures of all rows of both sets."""
    if len(set(flags.sizes)) < 2 or min(flags.sizes) < 512:
        raise Mistake(f"--sizes are {flags.sizes}; give two or more, from 512 on")
    jax.config.update("jax_platforms", "cpu")
    found = []
    for name, known in SETS.items():
        for row in rows(flags.sizes, name, known):
            size = f"{row['bytes'] / 1e9:.2f} GB of the {row['side']}"
            print(f"{name}, {row['stage']}: {size}", flush=True)
            found.append(row)
    return {
        "limits": LIMITS,
        "settings": {"dim": DIM, "draws": DRAWS, "sizes": flags.sizes, "sets": SETS},
        "rows": found,
        "whole_runs": programs.whole_runs(SETS, LIMITS),
        "note": NOTE,
    }
