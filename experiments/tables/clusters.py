r"""Clusters of the other half: python experiments/tables/clusters.py ...

    python experiments/tables/clusters.py --config cifar100_lt:cpu --seeds 0 1 2 \
        --images cifar100_train.npz --tests cifar100_test.npz --imbalance-factor 100 \
        --out experiments/results/clusters_cifar100_cpu.jsonl

A network is trained on half of a set's classes, all of their images. Of the other half
a long-tailed subset is drawn and clustered by its features, without labels, K the
number of classes. Each line has the scores of a method, row and seed; a line that is
there is not made again. Every flag that is not the script's is the network's, as for
`python -m ltjax.main`. Methods, all but the first on the same heads, epochs and rates:

kmeans    scikit-learn's, on features less their mean and of length 1, as the others
          see them, the best of 10 starts
sinkhorn  all mass, clusters of equal sizes: optimal transport as in SeLa and SwAV
pot       a growing part of the mass, clusters of equal sizes
uot       all mass, sizes held by a divergence
p2ot      a growing part, and the divergence
sp2ot     the same, and neighbours have like labels
"""

import argparse
import dataclasses
import json
import time
from pathlib import Path

import numpy as np
from rich.console import Console

from ltjax import machine
from ltjax.clustering import story
from ltjax.config import (
    Augment,
    Classifier,
    Config,
    Data,
    Given,
    P2ot,
    Posterior,
    Several,
    Sgd,
    Sp2ot,
    Swa,
    command,
)
from ltjax.data import longtail
from ltjax.evaluation import clusters as scores
from ltjax.mistake import Mistake
from ltjax.run import run
from ltjax.runtime.command import exit_code
from ltjax.stages import trained
from ltjax.workdir import versions

OBJECTIVES = {
    "sinkhorn": P2ot(strength=None, start=1.0),
    "pot": P2ot(strength=None),
    "uot": P2ot(start=1.0),
    "p2ot": P2ot(),
    "sp2ot": Sp2ot(),
}
METHODS = ("kmeans", *OBJECTIVES)
_BATCH = 500
_TOLD = ("set", "imbalance_factor", "epochs", "memory", "method", "seed")


def flags():
    """The parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--config", required=True, help="the network's, FILE or FILE:NAME")
    add("--images", type=Path, required=True, help=".npz of image and label")
    add("--tests", type=Path, required=True, help="the same, to tell its accuracy")
    add("--out", type=Path, required=True, help="JSON lines to append")
    add("--runs", type=Path, default=Path("runs"), help="folder of the runs")
    add("--seeds", type=int, nargs="+", default=[0, 1, 2])
    add("--methods", nargs="+", choices=METHODS, default=METHODS)
    add("--imbalance-factor", type=float, default=100.0)
    add("--epochs", type=int, default=20, help="of the heads")
    add("--batch", type=int, default=256)
    add("--memory", type=int, default=5120, help="images that labels are found among")
    add("--each", type=int, help="images of a class that trains; all")
    return parser


def halves(classes, seed=0):
    """Classes that train the network, and the others; each in rising order."""
    order = np.random.default_rng(seed).permutation(classes)
    return np.sort(order[: classes // 2]), np.sort(order[classes // 2 :])


def part(file, classes, each=None):
    """Images and labels 0.. of some classes, at most `each` of one."""
    with np.load(file, allow_pickle=False) as whole:
        image, label = whole["image"], whole["label"]
    rows = [np.flatnonzero(label == own)[:each] for own in classes]
    new = np.repeat(np.arange(len(classes)), [len(own) for own in rows])
    return {"image": image[np.concatenate(rows)], "label": new}


def network(options, seen):
    """The folder of the finished run of the network."""
    place = options.runs / f"half-{Path(options.images).stem}"
    place.mkdir(parents=True, exist_ok=True)
    for name, file in (("train", options.images), ("test", options.tests)):
        if not (place / f"{name}.npz").exists():
            np.savez(place / f"{name}.npz", **part(file, seen, options.each))
    config, *_ = command.read(["--config", options.config, *options.rest])
    data = Data(
        source="npz", train=str(place / "train.npz"), test=str(place / "test.npz")
    )
    config = dataclasses.replace(config, data=data, backbones=("sgd",))
    methods = dataclasses.replace(config.classifier, methods=(), views=None)
    config = dataclasses.replace(config, classifier=methods)
    run(config, place / "run", Console())
    return place / "run"


def features(options, out, others):
    """An .npz of features and labels of the long-tailed other half; its path."""
    place = out.parent / f"features-{options.imbalance_factor:g}.npz"
    if place.exists():
        return place
    whole = part(options.images, others)
    size = int(np.bincount(whole["label"]).min())
    counts = longtail.exponential_counts(len(others), size, options.imbalance_factor)
    rows = longtail.subset(whole["label"], counts)
    see = trained.features(trained.read(out, "sgd"))
    image, found = whole["image"][rows], []
    if image.ndim == 3:
        image = image[..., None]
    for first in range(0, len(image), _BATCH):
        few = image[first : first + _BATCH]
        filled = np.zeros((_BATCH, *few.shape[1:]), np.uint8)
        filled[: len(few)] = few
        found.append(np.asarray(see(filled)[0])[: len(few)])
    np.savez(place, feature=np.concatenate(found), label=whole["label"][rows])
    return place


def config_of(options, method, place, classes, seed):
    """The config of heads on features."""
    objective = dataclasses.replace(OBJECTIVES[method], memory=options.memory)
    return Config(
        name=f"{place.parent.name}-{method}",
        seed=seed,
        data=Data(source="features", path=str(place), classes=classes),
        augment=Augment(pad=0, flip=False),
        model=Given(head=Several(count=2), centred=True),
        objective=objective,
        optim=Sgd(
            lr=0.5,
            epochs=options.epochs,
            batch_size=options.batch,
            warmup_epochs=1,
            weight_decay=0.0,
        ),
        swa=Swa(lr=0.1, rank=5),
        posterior=Posterior(samples=5),
        classifier=Classifier(methods=(), views=None),
    )


def kmeans(place, classes, seed):
    """The scores of k-means, in the shape of a row."""
    from sklearn.cluster import KMeans

    with np.load(place, allow_pickle=False) as file:
        feature, label = file["feature"].astype(np.float64), file["label"]
    feature -= feature.mean(axis=0)
    unit = feature / np.linalg.norm(feature, axis=1, keepdims=True)
    found = KMeans(classes, n_init=10, random_state=seed).fit_predict(unit)
    told = scores.scores(label, found, classes)
    predicted = scores.match(label, found, classes)[found]
    recalls = scores.recall(label, predicted, classes)
    groups = longtail.groups(longtail.class_counts(label, classes))
    told["groups"] = {
        name: float(recalls[mask].mean()) if mask.any() else None
        for name, mask in groups.items()
    }
    return [{"backbone": "", "scores": told}]


def lines(options, method, place, classes, seed):
    """The lines of a method and a seed."""
    begin = time.monotonic()
    if method == "kmeans":
        rows = kmeans(place, classes, seed)
    else:
        config = config_of(options, method, place, classes, seed)
        name = f"{place.stem}-{method}-seed{seed}-{options.epochs}-{options.memory}"
        out = place.parent / name
        rows = story.run(config, out, Console(quiet=True))["rows"]
    about = {
        "set": options.images.stem,
        "method": method,
        "seed": seed,
        "epochs": options.epochs,
        "memory": options.memory,
        "commit": versions.commit(),
        "processor": machine.processor(),
        "imbalance_factor": options.imbalance_factor,
        "clusters": classes,
        "seconds": time.monotonic() - begin,
    }
    return [{**about, "row": row["backbone"], **row["scores"]} for row in rows]


def main(options):
    """Makes all lines that are not there."""
    with np.load(options.images, allow_pickle=False) as file:
        classes = int(file["label"].max()) + 1
    seen, others = halves(classes)
    if len(others) < 2:
        raise Mistake(f"{options.images} has {classes} classes; it takes 4 for halves")
    place = features(options, network(options, seen), others)
    known = set()
    if options.out.exists():
        told = map(json.loads, options.out.read_text().splitlines())
        known = {tuple(line.get(name) for name in _TOLD) for line in told}
    for seed in options.seeds:
        for method in options.methods:
            settings = options.imbalance_factor, options.epochs, options.memory
            if (options.images.stem, *settings, method, seed) in known:
                continue
            made = lines(options, method, place, len(others), seed)
            with options.out.open("a") as file:
                file.writelines(json.dumps(line) + "\n" for line in made)
            print(f"{method}, seed {seed}: {made[-1]['balanced_accuracy']:.4f}")


if __name__ == "__main__":
    given, given.rest = flags().parse_known_args()
    raise SystemExit(exit_code(lambda: main(given)))
