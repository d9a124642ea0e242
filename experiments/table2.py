r"""The paper's Table 2: every classifier on the SGD and the SWA backbone.

    python experiments/table2.py --config configs/cifar100_lt.py:cpu --seeds 0 1 2 \
        --out experiments/results/table2_cifar100_lt100_cpu.jsonl \
        --data.train cifar100_train.npz --data.test cifar100_test.npz

appends one JSON line for every row of each seed, when the seed is finished; the same
command goes on where it stopped. tau-norm, NCM, LA post-hoc and the SWAG rows are
beside the paper's own. Where SRepr starts from the head of stage one, so does one more
row of LA, to tell what the start alone gives. After a change of `classifier` settings
give another `--runs`, and the former as `--stage-one`.
"""

import sys

import protocol

if __name__ == "__main__":
    sys.exit(protocol.command(protocol.lines, __doc__))
