"""What it costs that a run can be killed anywhere and stops before it diverges.

    python experiments/costs.py --out costs.json         about 15 minutes on two cores

times ten steps of a ResNet-32 as a run takes them (a loop with bounds, loss, weights
and statistics looked at after every step) and as a plain `scan` without that, by turns;
and a run of CIFAR-100-LT's size, on noise, with few epochs, for the share of saving in
it. Run it on an idle machine.
"""

import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tyro

from ltjax import backbone, config, losses, revision
from ltjax.data import augment, longtail
from ltjax.mistake import Mistake, exit_code
from ltjax.report.writer import write_json
from ltjax.representation import epoch, schedule, step

ROOT = Path(__file__).parent.parent
CLASSES, BATCH, STEPS = 100, 128, 10
MEAN, STD = (0.5, 0.49, 0.44), (0.27, 0.26, 0.28)
FLAGS = (
    *("--optim.epochs", "3", "--optim.warmup-epochs", "0", "--swa.start", "1"),
    *("--posterior.samples", "2", "--classifier.views", "1"),
    *("--classifier.methods", "la", "srepr"),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Times the checks of a step, and saving in a run; writes JSON."""

    out: Path = Path("costs.json")
    """File for the figures."""
    repeats: int = 15
    """Turns of the pair of loops."""


def images(counts, seed):
    """Noise [N, 32, 32, 3] and the labels of so many images per class."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(counts)), counts).astype(np.int32)
    return rng.integers(0, 256, (len(labels), 32, 32, 3), np.uint8), labels


def loops():
    """Two calls that take the same steps: as a run does, and without its checks."""
    image, label = images([STEPS * BATCH // CLASSES + 1] * CLASSES, 0)
    net = backbone.network(config.Model(depth=32), CLASSES)
    tx = schedule.sgd(0.01, 0.9, 5e-4)
    normalise = partial(augment.normalise, mean=MEAN, std=STD)
    variables = net.init(jax.random.key(0), normalise(image[:1]))
    rows = jnp.arange(STEPS * BATCH).reshape(STEPS, BATCH)
    data = jax.device_put({"image": image, "label": label})
    keys = tuple(jax.random.split(jax.random.key(1)))
    gradient = step.make_gradient(net.apply, step.per_example(losses.cross_entropy))

    def unchecked(state, row):
        batch = {"image": normalise(data["image"][row]), "label": data["label"][row]}
        grads, metrics, batch_stats = gradient(keys[1], state, batch)
        updates, opt_state = tx.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        return step.State(state.step + 1, params, batch_stats, opt_state), metrics

    checked = jax.jit(
        epoch.make_epoch(
            step.make_step(net.apply, losses.cross_entropy, tx),
            lambda _, images: normalise(images),
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


def saving():
    """`seconds` of the results of a run of CIFAR-100-LT's size."""
    counts = longtail.exponential_counts(CLASSES, 500, 100)
    with tempfile.TemporaryDirectory() as folder:
        files = {"train": counts, "test": [100] * CLASSES}
        for seed, (name, many) in enumerate(files.items()):
            image, label = images(many, seed)
            np.savez(Path(folder, name), image=image, label=label)
        out = Path(folder, "run")
        command = (
            *(sys.executable, "-m", "ltjax.main"),
            *("--config", str(ROOT / "configs" / "cifar100_lt_cpu.py")),
            *("--data.source", "npz", "--data.imbalance-factor", "None"),
            *(
                "--data.train",
                f"{folder}/train.npz",
                "--data.test",
                f"{folder}/test.npz",
            ),
            *("--data.manifest", "None", "--out", str(out), *FLAGS),
        )
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        subprocess.run(command, check=True, env=env)
        return json.loads((out / "results.json").read_text())["seconds"]


def main(options):
    """Measures both and writes the file."""
    if not options.out.absolute().parent.is_dir():
        raise Mistake(f"--out {options.out} lies in no folder; make it first")
    if options.repeats < 2:
        raise Mistake(f"--repeats is {options.repeats}; it must be at least 2")
    times = by_turns(loops(), options.repeats)
    ratios = [a / b for a, b in zip(times["checked"], times["plain"])]
    figures = {
        "commit": revision.commit(),
        "versions": {"jax": jax.__version__},
        "device": jax.devices()[0].device_kind,
        "checks": {
            "ratio": statistics.median(ratios),
            "quartiles": statistics.quantiles(ratios, n=4)[::2],
            "seconds": times,
        },
        "saving": None,
    }
    write_json(options.out, figures)
    print(f"checks: {figures['checks']['ratio']:.3f}", flush=True)
    figures["saving"] = {"flags": list(FLAGS), "seconds": saving()}
    write_json(options.out, figures)
    print(f"seconds of a run: {figures['saving']['seconds']}")


if __name__ == "__main__":
    sys.exit(exit_code(lambda: main(tyro.cli(Options, description=__doc__)), "costs"))
