r"""MDCS on CIFAR-100-LT at imbalance factor 100, 16 epochs per backbone, for a CPU.

    python -m ltjax.main --config configs/cifar100_lt_mdcs_cpu.py \
        --data.train cifar100_train.npz --data.test cifar100_test.npz

configs/cifar100_lt_mdcs.py, shortened to about an hour on two cores that do nothing
else: 16 of its 400 epochs, half a cosine to zero instead of steps, the distillation at
its full weight from the second epoch on. An epoch costs as much as two of RIDE's, as
images are seen in two views. The files are those of configs/cifar100_lt_cpu.py. Under
RIDE's augmentation in both views: `--data.policy None --data.cutout 0`.
"""

from dataclasses import replace
from pathlib import Path

from ltjax.config import Mdcs, Posterior, Swa, file

full = file.read(Path(__file__).with_name("cifar100_lt_mdcs.py"))
config = replace(
    full,
    data=replace(
        full.data, source="npz", train="cifar100_train.npz", test="cifar100_test.npz"
    ),
    optim=replace(
        full.optim,
        mdcs=Mdcs(ramp_epochs=2),
        schedule="cosine",
        milestones=(),
        epochs=16,
        warmup_epochs=1,
    ),
    swa=Swa(start=12, lr=0.02, every_steps=34, rank=20),
    posterior=Posterior(samples=5),
)
