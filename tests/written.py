"""The folder of a finished run, as a run writes it, of figures that are made up."""

import json

import numpy as np

from ltjax.config import Classifier, Config, record
from ltjax.data import longtail
from ltjax.workdir import examples, identity, predictions
from ltjax.workdir import results as outcome
from ltjax.workdir.files import write_arrays, write_json

METHODS = ("crt", "la", "srepr")


def write(path, counts=(300, 90, 40, 9, 3), seed=0, each=20, **changes):
    """A run of classes with so many training images; returns its `Results`.

    `changes`: `methods`, `class_names`, `data` (a fingerprint), `rates` (of learning),
    `keep` (whether it kept predictions, examples and events).
    """
    path.mkdir(parents=True)
    methods = changes.get("methods", METHODS)
    keep = changes.get("keep", True)
    rng = np.random.default_rng(seed)
    classes, counts = len(counts), np.array(counts)
    settings = Classifier(methods=methods, lr=changes.get("lr", 0.1))
    config = Config(name="made", seed=seed, classifier=settings)
    labels = np.repeat(np.arange(classes), each)
    rows, accuracy, predicted = [], {}, {}
    for backbone in ("sgd", "swa", "swag"):
        for method in ("none", *methods):
            if method == "srepr" and backbone == "sgd":
                continue
            top = np.where(
                rng.random(len(labels)) < 0.6,
                labels,
                rng.integers(0, classes, len(labels)),
            )
            sure = rng.random(len(labels)).astype(np.float32)
            share = [float((top == c)[labels == c].mean()) for c in range(classes)]
            acc = {
                group: 100 * float(np.mean(np.array(share)[mask]))
                if mask.any()
                else None
                for group, mask in longtail.groups(counts).items()
            }
            acc["all"] = 100 * float((top == labels).mean())
            row = {"backbone": backbone, "classifier": method, "variant": ""}
            nll, ece, brier = rng.random(3).tolist()
            figures = {"acc": acc, "nll": nll, "ece": ece, "brier": brier}
            ece = {group: acc[group] and ece for group in longtail.groups(counts)}
            rows.append({**row, **figures, "group_ece": ece, "seconds": 1.5})
            name = f"{backbone}-{method}"
            accuracy[name] = share
            if backbone == "swa" and method in predictions.shown(("none", *methods)):
                predicted[name] = predictions.Predicted(top.astype(np.int32), sure)
    spread = [None if not each else float(s) for s in rng.random(classes)]
    data = {"name": "zoo", "classes": classes, "train": int(counts.sum())}
    data |= {"test": len(labels), "counts": counts.tolist(), "imbalance_factor": None}
    if "class_names" in changes:
        data["class_names"] = changes["class_names"]
    results = {"dataset": data, "seed": seed, "rows": rows, "seconds": {"saving": 3.0}}
    of_run = {"config": identity.of_config(config), "data": changes.get("data", "d0")}
    write_json(path / "config.json", {"run": of_run, "config": record.to_json(config)})
    dispersion = {"probability": spread, "relative": spread}
    write_json(
        path / "classes.json",
        {"counts": counts.tolist(), "accuracy": accuracy, "dispersion": dispersion},
    )
    write_json(path / "results.json", results)
    if keep:
        write_arrays(path / "labels.npz", {"test": labels})
        predictions.write(path, predicted)
        with (path / "metrics.jsonl").open("w") as file:
            for backbone in ("sgd", "swa"):
                for epoch in range(1, 5):
                    event = {"event": "epoch", "backbone": backbone, "epoch": epoch}
                    event |= {"loss": 1 / epoch, "accuracy": 1 - 0.5 / epoch}
                    file.write(json.dumps(event) + "\n")
        images = rng.integers(0, 256, (len(labels), 8, 8, 3)).astype(np.uint8)
        examples.keep(path, images, outcome.read(path).chosen)
        own = np.repeat(np.arange(classes), counts)
        images = rng.integers(0, 256, (len(own), 8, 8, 3)).astype(np.uint8)
        examples.keep_tail(path, images, own)
    return outcome.read(path)
