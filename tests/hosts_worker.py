"""A process of several hosts: `hosts_worker.py WORK PLACE ADDRESS COUNT INDEX`."""

import dataclasses
import json
import sys
from pathlib import Path

import jax
import numpy as np
import tiny
from PIL import Image

from ltjax.config import Classifier, Config, Data, Posterior, Sgd, Swa
from ltjax.data import decoding, sampling
from ltjax.mistake import Mistake
from ltjax.run import run
from ltjax.runtime import devices, hosts
from ltjax.stages import backbones, loading

RULES = ("instance", "class", "square_root", "progressive")


def lighten(patch):
    """Runs train one backbone, the one with a posterior, and that one thin."""
    every = backbones.of
    patch(backbones, "of", lambda *args: tiny.with_draws(every(*args)))
    tiny.thinned(patch)


def small(place):
    """A config whose data divide by no number of devices, and few programs."""
    config = tiny.config_of(place, imbalance_factor=6)
    return dataclasses.replace(
        config,
        optim=dataclasses.replace(config.optim, lr=0.02),
        classifier=dataclasses.replace(
            config.classifier, methods=("la",), views=1, epochs=1
        ),
    )


def keeping(config, place):
    """The config with its deviations at `place`."""
    return dataclasses.replace(config, swa=dataclasses.replace(config.swa, place=place))


def orders():
    """The order of two epochs under each rule, whole on all devices."""
    labels = np.repeat(np.arange(3), (40, 9, 4))
    index = sampling.class_index(labels, 3)
    found = {}
    for rule in RULES:
        rows = sampling.batches(rule, index, 8, 3, drop_last=False)
        rows = jax.jit(rows, out_shardings=devices.everywhere())
        epochs = [rows(jax.random.key(epoch), epoch) for epoch in (0, 2)]
        found[rule] = np.stack([np.asarray(epoch) for epoch in epochs])
    return found


def zoo(place):
    """Fifteen images of two classes, one of which is none."""
    rng = np.random.default_rng(0)
    for at in range(15):
        path = place / "zoo" / ("a" if at < 9 else "b") / f"{at:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 120, (8, 8, 3), np.uint8) + np.uint8(80 * (at >= 9))
        Image.fromarray(pixels).save(path)
    (place / "zoo" / "a" / "03.png").write_bytes(b"")


def streamed(place):
    """A config whose images are files, decoded in training."""
    return Config(
        name="zoo",
        data=Data(
            source="folder",
            path=str(place / "zoo"),
            size=8,
            test_per_class=2,
            stream=True,
        ),
        optim=Sgd(epochs=2, warmup_epochs=0, batch_size=4),
        swa=Swa(start=1, every_steps=1, rank=2),
        posterior=Posterior(samples=1, batch_size=5),
        classifier=Classifier(methods=("la",), epochs=1, batch_size=4, views=1),
    )


def looked(settings):
    """The files that this process reads to know of all, and what it knows."""
    read, names = decoding.read, []
    decoding.read = lambda path: names.append(path.name) or read(path)
    try:
        data = hosts.together(lambda: loading.load(settings, tiny.quiet()))
    finally:
        decoding.read = read
    digests = np.concatenate([data.train.image.digests, data.test.image.digests])
    skipped = [file._asdict() for file in data.skipped]
    return {"read": sorted(names), "skipped": skipped, "digests": digests.tolist()}


def long(index):
    """What is longer than any message of a fixed length, and ends in zeros."""
    return {"index": index, "text": "é\0" * (5000 + 3000 * index)}


def finished(config, out):
    """The results of a run that is finished, made longer than they were."""
    file = out / "results.json"
    results = json.loads(file.read_text())
    results["dataset"]["class_names"] = [f"a class named {n}" for n in range(500)]
    hosts.gathered(None)  # both have read it
    hosts.by_first(lambda: file.write_text(json.dumps(results)))
    return run(config, out, tiny.quiet()) == results


def elsewhere(index):
    """Process 0 brings things together where process 1 has none to bring."""
    if index == 0:
        hosts.divided(lambda rows: list(rows), 3)


def refusal(action):
    try:
        action()
    except Mistake as mistake:
        return str(mistake)
    return None


def complain(index):
    if jax.process_index() == index:
        raise Mistake("a file is missing")


def stream(place, index):
    """A run whose images are files."""
    rows = run(streamed(place), place / "streamed", tiny.quiet())["rows"]
    (place / f"streamed{index}.json").write_text(json.dumps(rows))


def work(place, index):
    """A run of arrays in memory, and what processes say to each other."""
    config = small(place)
    other = dataclasses.replace(config, seed=index)
    told = {
        "together": [refusal(lambda: hosts.together(lambda: complain(1)))],
        "config": refusal(lambda: run(other, place / "never", tiny.quiet())),
        "devices": jax.device_count(),
        "within": refusal(
            lambda: hosts.together(
                lambda: complain(1) or hosts.divided(lambda rows: list(rows), 3)
            )
        ),
        "elsewhere": refusal(lambda: hosts.together(lambda: elsewhere(index))),
        "divided": hosts.divided(lambda rows: [[row, index] for row in rows], 5),
        "long": hosts.gathered(long(index)) == [long(0), long(1)],
        "looked": looked(streamed(place).data),
        "rows": run(keeping(config, "sharded"), place / "pair", tiny.quiet())["rows"],
        "again": finished(keeping(config, "sharded"), place / "pair"),
    }
    (place / f"told{index}.json").write_text(json.dumps(told))
    np.savez(place / f"orders{index}.npz", **orders())


if __name__ == "__main__":
    _, name, folder, address, count, index = sys.argv
    lighten(setattr)
    hosts.join(address, int(count), int(index))
    {"work": work, "stream": stream}[name](Path(folder), int(index))
