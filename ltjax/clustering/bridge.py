"""From clusters back to classes: those that a user has named become labels."""

import csv
import io
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from ltjax.classifier import linear
from ltjax.classifier import train as training
from ltjax.clustering import sheet
from ltjax.data import csv_file
from ltjax.losses import cross_entropy
from ltjax.mistake import Mistake, shown
from ltjax.representation import schedule
from ltjax.workdir import results
from ltjax.workdir.files import check_new, write_text


def labelled(run, names, out, least=0.0, overwrite=False):
    """Writes a CSV of path, label and weight of the images whose cluster has a name.

    `run` is the folder of a run, `names` a CSV with the columns cluster and class;
    several clusters may be one class, and one that is not named is left out, as are
    images of a weight below `least`. Returns how many rows there are, and of how many
    classes. Raises `Mistake` where the file would lie elsewhere than above the images.
    """
    check_new(out, overwrite)
    record, config = results.record(run)
    if config.data.source != "unlabelled" or not Path(config.data.path).is_dir():
        raise Mistake(
            f"{run} has sorted {config.data.source} {config.data.path}; wanted a run "
            "of a folder of images, whose paths a CSV can name"
        )
    if not 0 <= least <= 1:
        raise Mistake(f"--least is {least}; it must be in 0..1")
    called = named(names, record["dataset"]["classes"])
    root = os.path.relpath(os.path.realpath(config.data.path), out.resolve().parent)
    if root.split(os.sep)[0] == os.pardir:
        raise Mistake(
            f"--out {out} does not lie above the images; give a file in "
            f"{config.data.path}, or in a folder above"
        )
    found = [
        (os.path.join(root, row["path"]).removeprefix("./"), called[number], weight)
        for row, number, weight in _rows(run)
        if number in called and weight >= least
    ]
    classes = {label for _, label, _ in found}
    if len(classes) < 2:
        raise Mistake(
            f"{names} names {len(classes)} class of {len(found)} images; a supervised "
            "run takes 2 or more"
        )
    text = io.StringIO(newline="")
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(("path", "label", "weight"))
    lines.writerows((path, label, f"{weight:.4f}") for path, label, weight in found)
    write_text(out, text.getvalue())
    return len(found), len(classes)


def named(file, clusters):
    """The class of each named cluster, {number: name}."""
    if not os.path.isfile(file):
        raise Mistake(
            f"--names {file} is not a file; wanted a CSV of cluster and class"
        )
    found = {}
    for line, row in csv_file.rows(file, ("cluster", "class"), "cluster and class"):
        where, number = f"{shown(file)}, line {line}", row["cluster"]
        if not number.isdecimal() or int(number) >= clusters:
            raise Mistake(
                f"{where}: cluster is {number!r}; there are 0 to {clusters - 1}"
            )
        if int(number) in found:
            raise Mistake(f"{where}: cluster {number} is named twice")
        if row["class"]:
            found[int(number)] = row["class"]
    return found


def _rows(run):
    with open(Path(run) / sheet.FILE, encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield row, int(row["cluster"]), float(row["weight"])


def head(key, features, labels, weights, classes, *, epochs=100, lr=0.1, batch=128):
    """A linear head that learns labels [N] as much as their weights [N] say.

    Of features [N, D] as they are; its loss is weights times cross entropy, the mean
    over images, so that a label of weight 0 is none. {"kernel", "bias"}.
    """
    features = jnp.asarray(features, jnp.float32)
    labels, weights = jnp.asarray(labels), jnp.asarray(weights, jnp.float32)
    count, batch = len(labels), min(batch, len(labels))
    steps = count // batch

    def loss(params, z, rows):
        found = linear.logits(params, z[0])
        return weights[rows] * cross_entropy(found, labels[rows])

    def rows(epoch):
        order = jax.random.permutation(jax.random.fold_in(key, epoch + 1), count)
        return order[: steps * batch].reshape(steps, batch)

    params = linear.init(jax.random.fold_in(key, 0), features.shape[1], classes)
    tx = schedule.sgd(lr, 0.9, 0.0)
    who = jnp.arange(count)
    found = training.fit(
        params, loss, tx, lambda epoch: features[None], who, rows, epochs
    )
    return jax.tree.map(np.asarray, found)
