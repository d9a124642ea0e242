"""Data parallelism over virtual devices of a CPU, against the first number of them.

Every count has a process of its own, which trains a CIFAR ResNet for some steps under
`representation.epoch`, its batches split over the devices as in a run, and re-estimates
its batch-norm statistics. The images are random; they are labelled with their own
number, so that the steps themselves report who was in which batch. The first count runs
again with the images of every batch the other way round: what rounding alone does.
"""

import jax
import jax.numpy as jnp
import numpy as np

from bench import harness
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

CLASSES = 10
SETTINGS = {
    "batch_size": (128, "images of a batch"),
    "steps": (4, "steps of the epoch that is compared"),
    "depth": (32, "of the network"),
    "width": (16, "of the network"),
    "size": (32, "pixels along a side of an image"),
}
NOTE = (
    "Real: the same batches in the same order and, up to rounding, the same weights "
    "and statistics on any number of devices; the images each device holds of a batch. "
    "Not shown: how time falls with the number of devices, and what their links cost; "
    "that needs real ones. Virtual devices share the cores of one machine and its "
    "memory: up to one per core they may use the cores better than one device does, "
    "beyond that the times say what splitting costs."
)


def flags(parser):
    """Adds the part's flags."""
    add = parser.add_argument
    add("--devices", type=int, nargs="+", default=[1, 2, 4, 8])
    add("--repeats", type=int, default=3, help="epochs timed after the first")
    for name, (value, text) in SETTINGS.items():
        add(f"--{name.replace('_', '-')}", type=int, default=value, help=text)


def work(flags, turned=False):
    """Trains and refreshes on all devices of this process; returns arrays by name.

    `turned` has the images of each batch the other way round.
    """
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
        if turned:
            batch = jax.tree.map(lambda leaf: leaf[::-1], batch)
        state, metrics = advance(key, state, batch)
        return state, {**metrics, "order": order}

    refresh = members.make_refresh(
        lambda params, member: params["features"],
        net,
        normalise,
        flags.batch_size,
        chunk=1,
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

    seconds = harness.median(lambda: run_epoch(*args), flags.repeats)
    parts = {"weights": state.params, "statistics": stats, **history}
    named = {
        part + jax.tree_util.keystr(path): np.asarray(leaf)
        for part, tree in parts.items()
        for path, leaf in jax.tree.leaves_with_path(tree)
    }
    return {**named, "seconds": seconds / flags.steps}


def on_devices(flags, count, turned=False):
    """What `work` finds on so many virtual devices; for a process that has none yet."""
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", count)
    return work(flags, turned)


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


def measure(flags):
    """The figures of every number of devices."""
    harness.check_repeats(flags)
    for count in flags.devices:
        if count < 1 or flags.batch_size % count:
            raise Mistake(
                f"--devices {count} does not divide --batch-size {flags.batch_size}; "
                "give a divisor of it, or another --batch-size"
            )
    first, *_ = flags.devices
    runs = {n: harness.apart(on_devices, flags, n) for n in flags.devices}
    wanted, size = runs[first], flags.batch_size
    rows = [compare(run, wanted, n, size) for n, run in runs.items()]
    control = harness.apart(on_devices, flags, first, True)
    rows.insert(1, compare(control, wanted, first, size, control=True))
    settings = {name: getattr(flags, name) for name in SETTINGS}
    return {"settings": settings, "rows": rows, "note": NOTE}
