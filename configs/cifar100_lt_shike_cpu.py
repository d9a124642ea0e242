r"""SHIKE on CIFAR-100-LT at imbalance factor 100, 30 epochs per backbone, for a CPU.

    python -m ltjax.main --config configs/cifar100_lt_shike_cpu.py \
        --data.train cifar100_train.npz --data.test cifar100_test.npz

configs/cifar100_lt_shike.py, shortened to about an hour on two cores that do nothing
else (a step of 128 images takes 0.56 s there): 30 of the 180 epochs of its first stage,
half a cosine from 0.1, and the images that the CPU forms of RIDE and MDCS train on. The
files are those of configs/cifar100_lt_cpu.py.
"""

from dataclasses import replace
from pathlib import Path

from ltjax import config_file
from ltjax.config import Posterior, Swa

full = config_file.read(Path(__file__).with_name("cifar100_lt_shike.py"))
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
    optim=replace(full.optim, schedule="cosine", lr=0.1, epochs=30, warmup_epochs=2),
    swa=Swa(start=22, lr=0.02, every_steps=34, rank=20),
    posterior=Posterior(samples=5),
    classifier=replace(full.classifier, views=2),
)
