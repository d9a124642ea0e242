r"""The paper's Figure 3: how far the draws disagree, class by class.

    python experiments/figure3.py --config configs/cifar100_lt.py:cpu --seeds 0 1 2 \
        --out experiments/results/figure3_cifar100_lt100_cpu.jsonl \
        --data.train cifar100_train.npz --data.test cifar100_test.npz

appends a JSON line for each seed: training images per class, mean dispersion of its
test images in representation and probability space (classes in the order of their
labels), and the Spearman correlation of count and dispersion over the classes. The
probabilities are those of the stage-one head. Runs are those of table2.py.
"""

import sys

import protocol
from scipy import stats

from ltjax.workdir import files


def dispersions(options, seed):
    """The one line of a seed."""
    config = protocol.config_of(options, seed)
    out, _, about = protocol.finished(options, config)
    classes = files.read_json(out / "classes.json")
    counts, spaces = classes["counts"], classes["dispersion"]
    return [
        {
            **about,
            "counts": counts,
            "dispersion": spaces,
            "spearman": {
                name: correlation(counts, values) for name, values in spaces.items()
            },
        }
    ]


def correlation(counts, values):
    """Spearman's rank correlation over the classes that have test images."""
    pairs = [pair for pair in zip(counts, values) if pair[1] is not None]
    return float(stats.spearmanr(*zip(*pairs)).statistic)


if __name__ == "__main__":
    sys.exit(protocol.command(dispersions, __doc__))
