r"""What metadata are worth, under control: superclasses that are told, some wrongly.

    python experiments/tables/metadata.py write --share 0.5 \
        --train cifar100_train.npz --test cifar100_test.npz --to known
    python experiments/tables/metadata.py run --train cifar100_train.npz \
        --test cifar100_test.npz --out experiments/results/metadata_cpu.jsonl

`write` makes train.npz and test.npz in a folder: the files of CIFAR-100 with an array
`meta` [N, 20], the superclass of a share of the images, and for a tenth of these
another one. Those of a smaller share are among those of a larger one.

`run` trains the small MetaFormer and ResNet-32 with a late join of
cifar100_lt_metaformer.py for every share, and each without metadata, and appends a line
for every row, seen and absent. The same command goes on where it stopped. `--classes`,
`--epochs` and `--tested` make it small: the first so many classes, of the profile that
all have. Every flag that is not the script's is the run's, `--backbones swa` say, as
for `python -m ltjax.main`.
"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import protocol

from ltjax.config import command
from ltjax.mistake import Mistake
from ltjax.runtime.command import exit_code

# The superclass of each class, in the official order of both.
# fmt: off
SUPERCLASS = np.array([
    4, 1, 14, 8, 0, 6, 7, 7, 18, 3, 3, 14, 9, 18, 7, 11, 3, 9, 7, 11,
    6, 11, 5, 10, 7, 6, 13, 15, 3, 15, 0, 11, 1, 10, 12, 14, 16, 9, 11, 5,
    5, 19, 8, 8, 15, 13, 14, 17, 18, 10, 16, 4, 17, 4, 2, 0, 17, 4, 18, 17,
    10, 3, 2, 12, 12, 16, 12, 1, 9, 19, 2, 10, 0, 1, 16, 12, 9, 13, 15, 13,
    16, 19, 2, 4, 6, 19, 5, 5, 8, 19, 18, 1, 2, 15, 6, 0, 17, 8, 14, 13,
])
# fmt: on
SHARES = (0.0, 0.25, 0.5, 1.0)
NETWORKS = {"metaformer": "cpu", "resnet32": "resnet_cpu"}
_WRONG = 0.1  # of those that are told


def told(labels, share, seed):
    """What is known of images with these labels, float32 [N, 20]."""
    rng = np.random.default_rng((seed, 23))
    lot, error, other = rng.random((3, len(labels)))
    own = SUPERCLASS[labels]
    wrong = (own + 1 + (other * 19).astype(int)) % 20
    said = np.where(error < _WRONG, wrong, own)
    return np.eye(20, dtype=np.float32)[said] * (lot < share)[:, None]


def write(options):
    """Writes both files of a share; those that are there stay."""
    options.to.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(("train", "test")):
        place = options.to / f"{name}.npz"
        if place.exists():
            continue
        with np.load(getattr(options, name), allow_pickle=False) as whole:
            image, label = whole["image"], whole["label"]
        kept = np.flatnonzero(label < options.classes)
        if number and options.tested:
            kept = np.concatenate(
                [kept[label[kept] == c][: options.tested] for c in np.unique(label)]
            )
        image, label = image[kept], label[kept]
        meta = told(label, options.share, number)
        part = place.with_suffix(".part")
        with open(part, "wb") as opened:
            np.savez(opened, image=image, label=label, meta=meta)
        part.replace(place)


def config_of(name, share, options, place):
    """The config of a network; without metadata where there is no share."""
    named = f"cifar100_lt_metaformer:{NETWORKS[name]}"
    config, *_ = command.read(["--config", named, *options.rest])
    data = replace(
        config.data,
        train=str(place / "train.npz"),
        test=str(place / "test.npz"),
        meta=() if share is None else config.data.meta,
    )
    if options.classes < 100:
        data = replace(data, manifest=None)
    optim, swa = config.optim, config.swa
    if options.epochs:
        # Two snapshots at least, one of each epoch.
        start = min(options.epochs * 3 // 4, options.epochs - 2)
        optim = replace(optim, epochs=options.epochs, warmup_epochs=1)
        swa = replace(swa, start=start, rank=4)
    return replace(config, data=data, optim=optim, swa=swa, seed=options.seed)


def lines(name, share, options):
    """The lines of one network and one share, None without metadata."""
    place = options.work / f"share{share or 0:g}"
    given = argparse.Namespace(**{**vars(options), "share": share or 0, "to": place})
    write(given)
    config = config_of(name, share, options, place)
    word = "none" if share is None else f"{share:g}"
    out = options.work / f"{name}-{word}-seed{options.seed}"
    _, results, made = protocol.ended(config, out)
    about = {
        **made,
        "network": name,
        "share": share,
        "classes": results["dataset"]["classes"],
        "train": results["dataset"]["train"],
        "test": results["dataset"]["test"],
        "epochs": config.optim.epochs,
        "dtype": config.model.dtype,
    }
    return [{**about, **row} for row in results["rows"]]


def every(options):
    """Appends the lines of all that is not in the file yet."""
    done = set()
    if options.out.exists():
        text = options.out.read_text().splitlines()
        found = map(json.loads, text)
        done = {(line["network"], line["share"], line["seed"]) for line in found}
    for share in (None, *options.shares):
        for name in options.networks:
            if (name, share, options.seed) in done:
                continue
            text = "".join(
                json.dumps(line) + "\n" for line in lines(name, share, options)
            )
            with open(options.out, "a") as opened:
                opened.write(text)


def parser():
    """The command line."""
    found = argparse.ArgumentParser(
        description=__doc__.partition("\n")[0], allow_abbrev=False
    )
    found.add_argument("what", choices=("write", "run"))
    for name in ("train", "test"):
        found.add_argument(f"--{name}", type=Path, required=True)
    found.add_argument("--to", type=Path, default=Path("known"))
    found.add_argument("--share", type=float, default=0.5)
    found.add_argument("--shares", type=float, nargs="+", default=SHARES)
    found.add_argument("--networks", nargs="+", choices=NETWORKS, default=[*NETWORKS])
    found.add_argument("--classes", type=int, default=100)
    found.add_argument("--tested", type=int)
    found.add_argument("--epochs", type=int)
    found.add_argument("--seed", type=int, default=0)
    found.add_argument("--out", type=Path, default=Path("metadata.jsonl"))
    found.add_argument("--work", type=Path, default=Path("runs/metadata"))
    return found


def main(args):
    """Runs one command line; returns the exit code."""

    def work():
        options = protocol.read(parser(), args)
        if not 0 <= options.share <= 1:
            raise Mistake(f"--share is {options.share}; it must be in 0..1")
        write(options) if options.what == "write" else every(options)

    return exit_code(work)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
