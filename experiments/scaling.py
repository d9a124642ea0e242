"""Data parallelism over 1, 2, 4 and 8 virtual devices of a CPU, against the first.

    python experiments/scaling.py --out scaling.json

Every count has a process of its own, which trains a CIFAR ResNet for some steps under
`representation.epoch`, its batches split over the devices as in a run, and re-estimates
its batch-norm statistics. The images are random; they are labelled with their own
number, so that the steps themselves report who was in which batch.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from ltjax import machine
from ltjax.data import sampling
from ltjax.data.augment import geometry
from ltjax.data.sampling import class_index
from ltjax.losses import cross_entropy
from ltjax.mistake import Mistake
from ltjax.models.cifar_resnet import CifarResNet
from ltjax.models.heads import Linear
from ltjax.models.network import Network
from ltjax.posterior import members
from ltjax.representation import epoch, schedule, step
from ltjax.runtime import devices
from ltjax.runtime.command import exit_code
from ltjax.workdir import versions
from ltjax.workdir.files import write_json

CLASSES = 10
NOTE = """
Real: the same batches in the same order and, up to rounding, the same weights and
statistics on any number of devices; the images each device holds of a batch.
Not shown: how time falls with the number of devices, and what their links cost; that
needs real ones. The row "rev." is the first again, the images of every batch the other
way round: what rounding alone does. Virtual devices share the cores of one machine and
its memory: up to one per core they may use the cores better than one device does,
beyond that the times say what splitting costs.
"""


def read(args):
    """The flags of a command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--devices", type=int, nargs="+", default=[1, 2, 4, 8])
    add("--batch-size", type=int, default=128)
    add("--steps", type=int, default=4, help="steps of the epoch that is compared")
    add("--repeats", type=int, default=3, help="epochs timed after it")
    add("--depth", type=int, default=32)
    add("--width", type=int, default=16)
    add("--size", type=int, default=32, help="pixels along a side of an image")
    add("--out", type=Path, help="JSON file to write")
    # Where one of the processes puts its arrays.
    add("--worker", type=Path, help=argparse.SUPPRESS)
    # The images of each batch the other way round: nothing but rounding differs.
    add("--reversed", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args(args)


def check(flags):
    """Refuses devices that do not divide the batch, and a file in no folder."""
    for count in flags.devices:
        if count < 1 or flags.batch_size % count:
            raise Mistake(
                f"--devices {count} does not divide --batch-size {flags.batch_size}; "
                "give a divisor of it, or another --batch-size"
            )
    if flags.out and not flags.out.parent.is_dir():
        raise Mistake(f"--out {flags.out} lies in no folder; make it first")


def work(flags):
    """Trains and refreshes on all devices of this process; returns arrays by name."""
    rng = np.random.default_rng(0)
    # One more image than the steps need, so that refreshing meets uneven parts.
    count = flags.steps * flags.batch_size + 1
    image = rng.integers(0, 256, (count, flags.size, flags.size, 3), np.uint8)
    data = {"image": image, "label": np.arange(count, dtype=np.int32)}
    mean, std = geometry.moments(image)
    net = Network(CifarResNet(flags.depth, flags.width), Linear(CLASSES))
    tx = schedule.sgd(schedule.to_zero(0.1, 100 * flags.steps, 1), 0.9, 5e-4)
    index = class_index(data["label"] % CLASSES, CLASSES)
    init_key, order_key, flip_key, step_key = jax.random.split(jax.random.key(0), 4)

    def normalise(images):
        return devices.spread(geometry.normalise(images, mean, std))

    def loss(logits, numbers):
        return cross_entropy(logits, numbers % CLASSES)

    advance = step.make_step(net.apply, loss, tx)

    def told(key, state, batch):
        order = batch["label"]
        if flags.reversed:
            batch = jax.tree.map(lambda leaf: leaf[::-1], batch)
        state, metrics = advance(key, state, batch)
        return state, {**metrics, "order": order}

    refresh = members.make_refresh(
        members.of_point, net, normalise, flags.batch_size, chunk=1
    )
    everywhere = devices.everywhere()
    run_epoch = jax.jit(
        epoch.make_epoch(
            told,
            epoch.of_images(lambda key, images: normalise(geometry.flip(key, images))),
            lambda nothing, state: nothing,
        ),
        out_shardings=everywhere,
    )
    variables = net.init(init_key, geometry.normalise(image[:1], mean, std))
    carry = jax.device_put((step.init(variables, tx), ()), everywhere)
    data = jax.device_put(data, everywhere)
    rows = sampling.batches("instance", index, flags.batch_size, 1)(order_key, 0)
    args = (flip_key, step_key), carry, data, rows
    (state, _), history = run_epoch(*args)
    refresh = jax.jit(refresh, out_shardings=everywhere)
    stats = refresh(state.params, jnp.arange(1), data["image"])

    seconds = []
    for _ in range(flags.repeats):
        begin = time.perf_counter()
        jax.block_until_ready(run_epoch(*args))
        seconds.append((time.perf_counter() - begin) / flags.steps)
    parts = {"weights": state.params, "statistics": stats, **history}
    named = {
        part + jax.tree_util.keystr(path): np.asarray(leaf)
        for part, tree in parts.items()
        for path, leaf in jax.tree.leaves_with_path(tree)
    }
    return {**named, "seconds": statistics.median(seconds)}


def spawn(args, count, *more):
    """The arrays of a process with so many virtual devices."""
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "arrays.npz"
        command = (sys.executable, __file__, *args, "--devices", str(count))
        here = {**os.environ, "JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": str(count)}
        subprocess.run((*command, "--worker", file, *more), env=here, check=True)
        with np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)


def compare(found, wanted, count, batch_size, control=False):
    """One row of the table: `found` on `count` devices, `wanted` on the first count.

    A `control` has the images of each batch the other way round.
    """

    def difference(part):
        names = [name for name in wanted if name.startswith(part)]
        return max(float(np.abs(found[n] - wanted[n]).max()) for n in names)

    return {
        "devices": count,
        "control": control,
        "images_per_device": batch_size // count,
        "same_order": bool((found["order"] == wanted["order"]).all()),
        "weights": difference("weights"),
        "statistics": difference("statistics"),
        "loss": difference("loss"),
        "seconds_per_step": float(found["seconds"]),
    }


def table(rows):
    """The rows as text; d is the largest absolute difference to the first row."""
    lines = ["devices  images each  same order  d weights  d statistics  s per step"]
    for row in rows:
        name = f"{row['devices']}{', rev.' if row['control'] else ''}"
        lines.append(
            f"{name:>7}{row['images_per_device']:13}"
            f"{'yes' if row['same_order'] else 'NO':>12}{row['weights']:11.1e}"
            f"{row['statistics']:14.1e}{row['seconds_per_step']:12.3f}"
        )
    return "\n".join(lines)


def measure(args):
    """Compares the runs of a command line, or is one of its processes."""
    flags = read(args)
    check(flags)
    if flags.worker:
        np.savez(flags.worker, **work(flags))
        return
    runs = {count: spawn(args, count) for count in flags.devices}
    wanted = runs[flags.devices[0]]
    rows = [compare(run, wanted, n, flags.batch_size) for n, run in runs.items()]
    first = flags.devices[0]
    control = spawn(args, first, "--reversed")
    rows.insert(1, compare(control, wanted, first, flags.batch_size, control=True))
    print(table(rows) + "\n" + NOTE.rstrip())
    if flags.out:
        settings = {
            name: getattr(flags, name)
            for name in ("batch_size", "steps", "depth", "width", "size")
        }
        written = {
            "commit": versions.commit(),
            "versions": {"jax": jax.__version__},
            "processor": machine.processor(),
            "settings": settings,
        }
        write_json(flags.out, {**written, "rows": rows, "note": " ".join(NOTE.split())})


def main(args):
    """Runs one command line; returns the exit code."""
    return exit_code(lambda: measure(args), "scaling")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
