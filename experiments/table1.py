r"""The paper's Table 1: what each part of SRepr adds to SGD with re-training.

    python experiments/table1.py --config configs/cifar100_lt.py:cpu --seeds 0 1 2 \
        --out experiments/results/table1_cifar100_lt100_cpu.jsonl \
        --data.train cifar100_train.npz --data.test cifar100_test.npz

appends four JSON lines for each seed: re-training is that with the logit-adjusted loss
(LA), (a) takes the SWA backbone, (b) adds stochastic representations, (c) adds
self-distillation. Runs are those of table2.py, and so are the lines: after it nothing
is trained. The same command goes on where it stopped.
"""

import sys

import protocol

STEPS = {
    ("sgd", "la", ""): "SGD + LA",
    ("swa", "la", ""): "+ (a) SWA",
    ("swa", "srepr", "b"): "+ (b) stochastic representations",
    ("swa", "srepr", ""): "+ (c) self-distillation",
}


def ablation(options, seed):
    """The lines of the ablation, in its order."""
    found = {
        (line["backbone"], line["classifier"], line["variant"]): line
        for line in protocol.lines(options, seed)
    }
    return [{"step": step, **found[row]} for row, step in STEPS.items()]


if __name__ == "__main__":
    sys.exit(protocol.command(ablation, __doc__))
