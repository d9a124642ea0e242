r"""SHIKE on CIFAR-100-LT at imbalance factor 100, 16 epochs per backbone, for a CPU.

    python -m ltjax.main --config configs/cifar100_lt_shike_cpu.py \
        --data.train cifar100_train.npz --data.test cifar100_test.npz

configs/cifar100_lt_shike.py, shortened to less than an hour on two cores that do
nothing else: 16 of the 180 epochs of its first stage, half a cosine from 0.1, the
images that the CPU forms of RIDE and MDCS train on, and a second stage from a rate of
0.5, chosen on held-out images (docs/decisions.md). The files are those of
configs/cifar100_lt_cpu.py. Under RIDE's augmentation: `--data.rotate 15 --data.policy
None --data.cutout 0`.
"""

from dataclasses import replace
from pathlib import Path

from ltjax.config import Posterior, Swa, file

full = file.read(Path(__file__).with_name("cifar100_lt_shike.py"))
config = replace(
    full,
    data=replace(
        full.data,
        source="npz",
        train="cifar100_train.npz",
        test="cifar100_test.npz",
        subset="draw",
        manifest="cifar100_lt",
    ),
    optim=replace(full.optim, schedule="cosine", lr=0.1, epochs=16, warmup_epochs=2),
    swa=Swa(start=12, lr=0.02, every_steps=17, rank=20),
    posterior=Posterior(samples=5),
    classifier=replace(full.classifier, lr=0.5, views=2),
)
