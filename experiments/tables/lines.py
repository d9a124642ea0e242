r"""The lines of the tables of results: python experiments/tables/lines.py TABLE ...

    python experiments/tables/lines.py table2 --config cifar100_lt:cpu --seeds 0 1 2 \
        --out experiments/results/table2_cifar100_lt100_cpu.jsonl \
        --data.train cifar100_train.npz --data.test cifar100_test.npz

appends the JSON lines of each seed when it is finished; the same command goes on where
it stopped. After a change of `classifier` settings give another `--runs`, and the
former as `--stage-one`. All tables share their runs:

table1   the paper's Table 1, four lines a seed: re-training with the logit-adjusted
         loss (LA), with (a) SWA, (b) stochastic representations, (c) self-distillation
table2   its Table 2: every row of both backbones, appended as each backbone ends
         (`--backbones sgd` now, the same command without it later). Where SRepr starts
         from the head of stage one, so does one more row of LA, to tell what the start
         alone gives.
figure3  its Figure 3: images of each class, dispersion of its test images in every
         space under the head of stage one, and Spearman's correlation of the two
experts  every row of RIDE, SHIKE or MDCS. Nothing is fitted: no validation runs. The
         one protocol is `--augment.rotate 15 --augment.policy None --augment.cutout 0`,
         the views of RIDE; without these flags each has its own.
networks every row of one network, as for experts: of the forms of cifar100_lt_apa.py
"""

import sys

import protocol
from scipy import stats

from ltjax.mistake import Mistake
from ltjax.runtime.command import exit_code
from ltjax.workdir import files
from ltjax.workdir.rows import Row

STEPS = {
    ("sgd", "la", ""): "SGD + LA",
    ("swa", "la", ""): "+ (a) SWA",
    ("swa", "srepr", "b"): "+ (b) stochastic representations",
    ("swa", "srepr", ""): "+ (c) self-distillation",
}
VIEWS = ("pad", "flip", "rotate", "policy", "cutout")


def table1(options, seed):
    """The lines of the ablation, in its order."""
    _check_backbones("table1", options, "sgd", "swa")
    found = {Row.of(line)[:3]: line for line in protocol.lines(options, seed)}
    return [{"step": step, **found[row]} for row, step in STEPS.items()]


def figure3(options, seed):
    """The one line of a seed; classes in the order of their labels."""
    _check_backbones("figure3", options, "swa")
    out, _, about = protocol.finished(options, protocol.config_of(options, seed))
    classes = files.read_json(out / "classes.json")
    counts, spaces = classes["counts"], classes["dispersion"]
    ranks = {name: correlation(counts, values) for name, values in spaces.items()}
    return [{**about, "counts": counts, "dispersion": spaces, "spearman": ranks}]


def _check_backbones(name, options, *wanted):
    """Refuses a sitting that lacks backbones which a table tells of."""
    found = protocol.config_of(options, 0).backbones
    if not {*wanted} <= {*found}:
        raise Mistake(
            f"--backbones is {' '.join(found)}; {name} tells of {' and '.join(wanted)}"
        )


def correlation(counts, values):
    """Spearman's rank correlation over the classes that have test images."""
    pairs = [pair for pair in zip(counts, values) if pair[1] is not None]
    return float(stats.spearmanr(*zip(*pairs)).statistic)


def networks(options, seed):
    """The rows of a run, and what tells how it was trained; of experts their cost."""
    if options.holdout:
        raise Mistake(f"--holdout is {options.holdout}; nothing is fitted here, give 0")
    config = protocol.config_of(options, seed)
    _, results, about = protocol.finished(options, config)
    about |= {
        "epochs": config.optim.epochs,
        "views": {name: getattr(config.augment, name) for name in VIEWS},
        **{name: results[name] for name in ("cost",) if name in results},
        "stages": results["seconds"],
    }
    return [{**about, **row} for row in results["rows"]]


TABLES = {
    "table1": table1,
    "table2": protocol.lines,
    "figure3": figure3,
    "experts": networks,
    "networks": networks,
}


def main(args):
    """Runs one command line; returns the exit code."""

    def work():
        unfitted = TABLES.get(args[0] if args else None) is networks
        parser = protocol.parser(__doc__, holdout=0 if unfitted else 50)
        parser.add_argument("table", choices=TABLES)
        options = protocol.read(parser, args)
        make = TABLES[options.table]
        protocol.append(make, options, sittings=make is protocol.lines)

    return exit_code(work)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
