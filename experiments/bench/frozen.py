"""What a step costs where a part of a network trains: EfficientNet-Lite0, by turns.

A step of the whole network, and of the last block, the top and the head: with all
before run for each batch, and of its outputs, kept. Of the head alone, too. Weights are
random: what is measured does not depend on them.
"""

from functools import partial

import jax
import numpy as np

from bench import harness
from ltjax.losses import cross_entropy
from ltjax.models import partition
from ltjax.models.efficientnet import EfficientNetLite
from ltjax.models.heads import Linear
from ltjax.models.network import Network
from ltjax.representation import schedule, step

CLASSES = 100
LAST = ("block15", "top", "head")


def flags(parser):
    """Adds the part's flags."""
    parser.add_argument("--repeats", type=int, default=9, help="turns of all")
    parser.add_argument("--pixels", type=int, default=128, help="a side of the images")
    parser.add_argument("--batch-size", type=int, default=64, help="images of a step")


def stepped(net, own, given, x, label):
    """A call that takes one compiled step of the weights `own`, and their bytes."""
    bound = partition.bound(net, given)
    tx = schedule.sgd(lambda _: 0.01, 0.9, 5e-4)
    advance = step.make_step(bound.apply, cross_entropy, tx)
    state = step.init(own, tx)
    batch = {"image": x, "label": label}
    compiled = jax.jit(partial(advance, jax.random.key(0)))
    count = sum(leaf.nbytes for leaf in jax.tree.leaves(own["params"]))
    return harness.ready(lambda: compiled(state, batch)), count


def calls(pixels, batch_size):
    """The calls by name, and the bytes that each trains."""
    body = EfficientNetLite(0)
    image = np.random.default_rng(0).normal(size=(batch_size, pixels, pixels, 3))
    image, label = image.astype(np.float32), np.arange(batch_size) % CLASSES
    whole = Network(body, Linear(CLASSES))
    variables = jax.jit(whole.init)(jax.random.key(0), image)
    made = {
        "whole": stepped(whole, variables, {}, image, label),
        "last block": stepped(whole, *partition.split(variables, LAST), image, label),
    }
    of_body = {kind: tree["features"] for kind, tree in variables.items()}
    for name, words, first in (
        ("last block, outputs kept", LAST, body.part("block15")),
        ("head, outputs kept", ("head",), body.parts),
    ):
        outputs = jax.jit(body.copy(last=first).apply)(of_body, image)
        own, _ = partition.split(variables, words)
        above = whole.copy(features=body.copy(first=first))
        made[name] = stepped(above, own, {}, outputs, label)
    return {n: call for n, (call, _) in made.items()}, {
        n: count for n, (_, count) in made.items()
    }


def measure(flags):
    """The figures of the file."""
    harness.check_repeats(flags, 2)
    every, counts = calls(flags.pixels, flags.batch_size)
    _, times, _ = harness.by_turns(every, flags.repeats)
    return {
        "pixels": flags.pixels,
        "batch_size": flags.batch_size,
        "ratios": {
            name: harness.ratio(times["whole"], times[name])
            for name in every
            if name != "whole"
        },
        "bytes": counts,
        "seconds": times,
    }
