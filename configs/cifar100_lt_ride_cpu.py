r"""RIDE on CIFAR-100-LT at imbalance factor 100, 16 epochs per backbone, for a CPU.

    python -m ltjax.main --config configs/cifar100_lt_ride_cpu.py \
        --data.train cifar100_train.npz --data.test cifar100_test.npz

configs/cifar100_lt_ride.py, shortened to less than an hour on two cores that do nothing
else: 16 of its 200 epochs, class weights after 12, half a cosine to zero instead of
steps. The files are those of configs/cifar100_lt_cpu.py. Its augmentation is the one
under which docs/results.md compares the CPU forms of RIDE, SHIKE and MDCS.
"""

from dataclasses import replace
from pathlib import Path

from ltjax.config import Posterior, Ride, Swa, file

full = file.read(Path(__file__).with_name("cifar100_lt_ride.py"))
config = replace(
    full,
    data=replace(
        full.data, source="npz", train="cifar100_train.npz", test="cifar100_test.npz"
    ),
    optim=replace(
        full.optim,
        ride=Ride(reweight_epoch=12),
        schedule="cosine",
        milestones=(),
        factor=0.1,
        epochs=16,
        warmup_epochs=1,
    ),
    swa=Swa(start=12, lr=0.02, every_steps=17, rank=20),
    posterior=Posterior(samples=5),
)
