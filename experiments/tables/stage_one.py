r"""Choices of stage one, one change at a time, on held-out images of a seed or some.

    python experiments/tables/stage_one.py --config cifar100_lt:cpu \
        --out experiments/results/stage_one_cifar100_lt100_cpu.jsonl \
        --data.train cifar100_train.npz --data.test cifar100_test.npz

trains the config as it is (`base`) and under each of the `CHANGES`, without the images
that are held out, and tests on these; nothing is chosen on the test set. Each backbone
is a sitting of its own: its lines, one for each row, are appended when it ends, with
the change, the settings, the commit and the seconds. The same command goes on where it
stopped, at the newest checkpoint; `--only NAME ...` names those that are wanted. A
change of the SWA backbone trains that one only, and one of batch-norm statistics
nothing: it takes over the backbones of `base`. `--changes digits --config digits_lt
--holdout 20` is the same of the digits.
"""

import argparse
import dataclasses
import json
import sys
from typing import NamedTuple

import protocol

from ltjax.mistake import Mistake, nearest
from ltjax.runtime.command import exit_code
from ltjax.stages.loading import load
from ltjax.workdir import identity

BASE = "base"
METHODS = ("la_posthoc", "la", "srepr")
BOTH = ("sgd", "swa")
HALF = "HALF"  # of the epochs


class Change(NamedTuple):
    """What differs from the config as it is."""

    flags: tuple  # of a run
    backbones: tuple = BOTH  # that differ by it
    trains: bool = True  # whether they are trained anew


def _swa(*flags):
    return Change(flags, ("swa",))


def _statistics(*flags):
    return Change(flags, trains=False)


# In the order in which they are made: those that are to tell most come first.
CHANGES = {
    BASE: Change(()),
    "swa_lr_0.05": _swa("--swa.lr", "0.05"),
    "init_pytorch": Change(("--model.init", "pytorch")),
    # What the trial in PyTorch had: both of them. Its SGD network is the one above.
    "trial": _swa("--model.init", "pytorch", "--swa.lr", "0.05"),
    "statistics_plain": _statistics("--posterior.augmented", "False"),
    "statistics_neighbours": _statistics("--posterior.order", "neighbours"),
    "swa_start_half": _swa("--swa.start", HALF),
    "weight_decay_2e-4": Change(("--optim.weight-decay", "2e-4")),
    "swa_lr_0.1": _swa("--swa.lr", "0.1"),
    "init_fan_in": Change(("--model.init", "fan_in")),
    "keep_last": Change(("--optim.drop-last", "False")),
    "weight_decay_1e-3": Change(("--optim.weight-decay", "1e-3")),
    "swa_lr_0.05_start_half": _swa("--swa.lr", "0.05", "--swa.start", HALF),
}
# Of the digits, whose run is to stay short.
DIGITS = {
    BASE: Change(()),
    "lr_0.05": Change(("--optim.lr", "0.05")),
    "lr_0.2": Change(("--optim.lr", "0.2")),
    "init_pytorch": Change(("--model.init", "pytorch")),
    "epochs_45": Change(("--optim.epochs", "45")),
    "swa_lr_0.02": _swa("--swa.lr", "0.02"),
    "swa_lr_0.1": _swa("--swa.lr", "0.1"),
    "swa_start_half": _swa("--swa.start", HALF),
    "swa_lr_0.02_start_half": _swa("--swa.lr", "0.02", "--swa.start", HALF),
}
LISTS = {"cifar": CHANGES, "digits": DIGITS}


def made(options):
    """Makes every backbone of the changes that are wanted, and appends its lines."""
    known, changes = _known(options.out), LISTS[options.changes]
    wanted = options.only or changes
    for name in wanted:
        if name not in changes:
            raise Mistake(
                f"--only {name} is no change; it must be of {', '.join(changes)}"
                f"{nearest(name, changes)}"
            )
    # All of them are told what is wrong with them before the first hour.
    configs = {name: config_of(options, name) for name in wanted}
    data = identity.fingerprint(load(config_of(options, BASE).data))
    for name, config in configs.items():
        ours = protocol.facts(config, data)
        for backbone in changes[name].backbones:
            there = known.get((name, backbone, options.seed))
            if there is None:
                found = lines(options, name, config, backbone)
                protocol.add(options.out, found)
            elif any(there[fact] != ours[fact] for fact in ours):
                raise Mistake(
                    f"--out {options.out} holds {name} of {backbone} with other "
                    "settings or data; give a new file"
                )
            else:
                print(f"{options.out} has {name} of {backbone}", flush=True)


def _known(out):
    """The first line of each (change, backbone, seed) in the file."""
    if not out.absolute().parent.is_dir() or out.is_dir():
        raise Mistake(f"--out {out} is not a file in an existing folder")
    found = {}
    for text in out.read_text().splitlines() if out.exists() else ():
        try:
            line = json.loads(text)
            key = line["change"], line["sitting"], line["seed"]
            found.setdefault(key, line)
        except (ValueError, KeyError, TypeError) as error:
            raise Mistake(f"--out {out} holds other lines; give a new file") from error
    return found


def config_of(options, name):
    """The config of the validation run of a change."""
    plain = protocol.config_of(options, options.seed, options.holdout)
    half = str(plain.optim.epochs // 2)
    change = LISTS[options.changes][name]
    flags = (half if flag == HALF else flag for flag in change.flags)
    changed = argparse.Namespace(**{**vars(options), "rest": [*options.rest, *flags]})
    config = protocol.config_of(changed, options.seed, options.holdout)
    classifier = dataclasses.replace(config.classifier, methods=METHODS)
    return dataclasses.replace(config, classifier=classifier)


def lines(options, name, config, backbone):
    """The lines of one backbone under a change, trained or taken over."""
    change = LISTS[options.changes][name]
    base = config_of(options, BASE)
    one = dataclasses.replace(config, backbones=(backbone,))
    earlier = None
    if not change.trains:
        earlier = _folder(options, base, BASE)
        protocol.ended(dataclasses.replace(base, backbones=(backbone,)), earlier)
    print(f"{name} of {backbone} begins", flush=True)
    out = _folder(options, config, name)
    _, results, about = protocol.ended(one, out, earlier)
    about |= {
        "change": name,
        "flags": list(change.flags),
        "sitting": backbone,
        "epochs": config.optim.epochs,
        "stages": results["seconds"],  # so far, of both backbones
    }
    rows = [row for row in results["rows"] if protocol.sitting(row) == backbone]
    return [{**about, **row} for row in rows]


def _folder(options, config, name):
    return options.runs / f"{protocol.folder_of(config)}-{name}"


def main(args):
    """Runs one command line; returns the exit code."""

    def work():
        parser = protocol.parser(__doc__)
        add = parser.add_argument
        add("--only", nargs="+", help="changes, by their names")
        add("--changes", choices=LISTS, default="cifar", help="which list of changes")
        options = protocol.read(parser, args)
        if not options.holdout:
            raise Mistake("--holdout is 0; choose on held-out images, --holdout 50")
        for seed in options.seeds:
            options.seed = seed
            made(options)

    return exit_code(work)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
