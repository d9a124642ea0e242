r"""RIDE, SHIKE or MDCS with every re-training, in the lines of docs/results.md.

    python experiments/experts.py --config configs/cifar100_lt_ride.py:srepr_cpu \
        --out experiments/results/experts_ride_common_cpu.jsonl --runs runs/common \
        --data.train cifar100_train.npz --data.test cifar100_test.npz \
        --augment.rotate 15 --augment.policy None --augment.cutout 0

appends one JSON line for every row of each seed; the same command goes on where it
stopped. The last three flags are the one protocol's, under which SHIKE and MDCS run
too: the views that RIDE has. Without them each has its own. Nothing is fitted, so that
there are no validation runs.
"""

import sys

import protocol

from ltjax.mistake import Mistake

VIEWS = ("pad", "flip", "rotate", "policy", "cutout")


def lines(options, seed):
    """The lines of a seed's run, made or found."""
    if options.holdout:
        raise Mistake(f"--holdout is {options.holdout}; nothing is fitted here, give 0")
    config = protocol.config_of(options, seed)
    _, results, about = protocol.finished(options, config)
    about |= {
        "epochs": config.optim.epochs,
        "views": {name: getattr(config.augment, name) for name in VIEWS},
        "cost": results["cost"],
        "stages": results["seconds"],
    }
    return [{**about, **row} for row in results["rows"]]


if __name__ == "__main__":
    sys.exit(protocol.command(lines, __doc__, holdout=0))
