"""The story of a run, top to bottom.

data -> representation -> posterior -> classifier -> evaluation -> report
"""

import dataclasses
import json

import jax
import numpy as np
from rich.console import Console

from ltjax import backbone, folder, looks, retraining
from ltjax import config as configs
from ltjax.classifier import linear
from ltjax.data import augment, longtail, order, sources
from ltjax.mistake import Mistake
from ltjax.posterior import dispersion
from ltjax.report.table import table
from ltjax.report.writer import Writer, write_json
from ltjax.session import Session, keys


def run(config, out, console=None):
    """Runs all stages of `config` in the folder `out` and returns the results.

    An unfinished run of the same config goes on where it stopped; a finished one
    returns its results at once. The results are those of `results.json`. Raises
    `Mistake` for whatever the user can put right.
    """
    console = console or Console()
    configs.check(config)
    data = load(config.data)
    index = order.class_index(data.train.label, data.classes)
    order.steps(len(index.rows), config.optim.batch_size, config.optim.drop_last)
    folder.claim(out, config, data)
    finished = out / "results.json"
    if finished.exists():
        results = json.loads(finished.read_text())
        console.print(f"{out} holds this run, finished:")
        console.print(table(results))
        return results
    folder.record_versions(out)

    mean, std = augment.moments(data.train.image)
    session = Session(
        config=config,
        out=out,
        keys=keys(config.seed),
        net=backbone.network(config.model, data.classes),
        data=data,
        train=jax.device_put(data.train._asdict()),
        test=jax.device_put(data.test._asdict()),
        index=index,
        augment=backbone.augmentation(config.data.pad, config.data.flip),
        normalise=lambda images: augment.normalise(images, mean, std),
        writer=Writer(out / "metrics.jsonl"),
        console=console,
    )

    rows, per_class = [], {"counts": index.counts.tolist(), "accuracy": {}}
    for name in backbone.NAMES:
        state, posterior = backbone.train(session, name)
        # What is tested: the last weights of the SGD run, the mean of the SWA run.
        weights = posterior if name == "swa" else state.params
        head = (posterior.mean if name == "swa" else state.params)["head"]
        seen = looks.take(session, name, weights)
        found, accuracy = retraining.rows(session, name, head, seen)
        rows += found
        per_class["accuracy"] |= accuracy
        if name == "swa":
            per_class["dispersion"] = dispersion_per_class(head, seen.test[1:], data)
    session.writer.close()

    results = {
        "dataset": {
            "name": data.name,
            "classes": data.classes,
            "train": len(data.train.label),
            "test": len(data.test.label),
            "counts": index.counts.tolist(),
            "imbalance_factor": config.data.imbalance_factor,
        },
        "seed": config.seed,
        "rows": rows,
        "seconds": folder.seconds_per_stage(out),
    }
    write_json(out / "classes.json", per_class)
    write_json(finished, results)
    console.print(table(results))
    console.print(f"results, metrics and checkpoints are in {out}")
    return results


def load(settings):
    """The data set of a run's `data` settings, its training split made long-tailed."""
    if settings.source == "digits":
        data = sources.digits()
    elif settings.source == "npz":
        for name in ("train", "test"):
            if getattr(settings, name) is None:
                raise Mistake(f"data.{name} is missing; source npz needs a file there")
        data = sources.npz(settings.train, settings.test, settings.classes)
    elif settings.source.startswith("tfds:"):
        name = settings.source.removeprefix("tfds:")
        data = sources.tfds(name, settings.directory, settings.download)
    else:
        raise Mistake(
            f"data.source is {settings.source!r}; it must be digits, npz or tfds:NAME"
        )
    train = longtail.tailed(
        data.train,
        data.classes,
        settings.imbalance_factor,
        settings.largest,
        settings.subset_seed,
    )
    return dataclasses.replace(data, train=train)


def dispersion_per_class(head, features, data):
    """How far the draws disagree, as the mean over each class's test images.

    `features` [M, N, D]; probabilities are those of the raw logits of the stage-one
    `head`. Three lists [C], None for a class without test images.
    """
    probs = jax.nn.softmax(linear.logits(head, features))
    per_image = {
        "representation": dispersion.representation(features),
        "relative": dispersion.relative(features),
        "probability": dispersion.probability(probs),
    }
    counts = np.bincount(data.test.label, minlength=data.classes)

    def per_class(values):
        sums = np.bincount(data.test.label, np.asarray(values), data.classes)
        return [float(s / n) if n else None for s, n in zip(sums, counts)]

    return {name: per_class(values) for name, values in per_image.items()}
