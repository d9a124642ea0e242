"""What it costs that every step is looked at before the next one.

    python experiments/checks.py --out checks.json        about 3 minutes on two cores

times ten steps of a ResNet-32 as a run takes them (a loop with bounds, loss, weights
and statistics looked at after every step) and as a plain `scan` without that, by turns.
Run it on an idle machine.
"""

import dataclasses
import statistics
import sys
import time
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tyro

from ltjax import config, losses, machine
from ltjax.data.augment import geometry
from ltjax.mistake import Mistake
from ltjax.representation import epoch, objective, schedule, step
from ltjax.runtime.command import exit_code
from ltjax.workdir import versions
from ltjax.workdir.files import write_json

CLASSES, BATCH, STEPS = 100, 128, 10
MEAN, STD = (0.5, 0.49, 0.44), (0.27, 0.26, 0.28)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Times the checks of a step; writes JSON."""

    out: Path = Path("checks.json")
    """File for the figures."""
    repeats: int = 25
    """Turns of the pair of loops."""


def loops():
    """Two calls that take the same steps: as a run does, and without its checks."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (STEPS * BATCH, 32, 32, 3), np.uint8)
    label = rng.integers(0, CLASSES, STEPS * BATCH, np.int32)
    net = config.CifarResNet(depth=32).make(CLASSES)
    tx = schedule.sgd(0.01, 0.9, 5e-4)
    normalise = partial(geometry.normalise, mean=MEAN, std=STD)
    variables = net.init(jax.random.key(0), normalise(image[:1]))
    rows = jnp.arange(STEPS * BATCH).reshape(STEPS, BATCH)
    data = jax.device_put({"image": image, "label": label})
    keys = tuple(jax.random.split(jax.random.key(1)))
    gradient = step.make_gradient(
        net.apply, objective.per_example(losses.cross_entropy)
    )

    def unchecked(state, row):
        batch = {"image": normalise(data["image"][row]), "label": data["label"][row]}
        grads, metrics, (batch_stats, _) = gradient(keys[1], state, batch)
        updates, opt_state = tx.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        return step.State(state.step + 1, params, batch_stats, opt_state), metrics

    checked = jax.jit(
        epoch.make_epoch(
            step.make_step(net.apply, losses.cross_entropy, tx),
            epoch.of_images(lambda _, images: normalise(images)),
            lambda posterior, state: posterior,
        )
    )
    plain = jax.jit(lambda state: jax.lax.scan(unchecked, state, rows))
    begin = step.init(variables, tx)
    return {
        "checked": lambda: checked(keys, (begin, ()), data, rows, 0, STEPS),
        "plain": lambda: plain(begin),
    }


def by_turns(calls, repeats):
    """The seconds of every call's turns, the first one, which compiles, left out."""
    times = {name: [] for name in calls}
    for turn in range(repeats + 1):
        for name, call in calls.items():
            begin = time.perf_counter()
            jax.block_until_ready(call())
            if turn:
                times[name].append(time.perf_counter() - begin)
    return times


def main(options):
    """Measures and writes the file."""
    if not options.out.absolute().parent.is_dir():
        raise Mistake(f"--out {options.out} lies in no folder; make it first")
    if options.repeats < 2:
        raise Mistake(f"--repeats is {options.repeats}; it must be at least 2")
    times = by_turns(loops(), options.repeats)
    ratios = [a / b for a, b in zip(times["checked"], times["plain"])]
    figures = {
        "commit": versions.commit(),
        "versions": {"jax": jax.__version__},
        "device": jax.devices()[0].device_kind,
        "processor": machine.processor(),
        "ratio": statistics.median(ratios),
        "quartiles": statistics.quantiles(ratios, n=4)[::2],
        "seconds": times,
    }
    write_json(options.out, figures)
    print(f"with over without checks: {figures['ratio']:.3f}")


if __name__ == "__main__":
    sys.exit(exit_code(lambda: main(tyro.cli(Options, description=__doc__)), "checks"))
