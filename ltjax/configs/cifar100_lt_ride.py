r"""RIDE on CIFAR-100-LT at imbalance factor 100: three experts, 200 epochs, for a GPU.

    python -m ltjax.main --config configs/cifar100_lt_ride.py

Wang et al., ICLR 2021 (arXiv:2010.01809); its router is trained on the finished run, by
`python -m ltjax.route`. Data as for configs/cifar100_lt.py. The row SGD is the
published system: reduced experts, cosine heads, margins, diversity, class weights after
epoch 160, the rate times 0.01 at 160 and 180. SWA averages the weights of epochs 161 to
200 under a rate of its own.

Here otherwise than in the release: pixels are normalised by the moments of the
training images, the last batch is filled up, batch-norm statistics are taken anew of
the training images before testing.

Expected, from the literature: 48.0 to 48.7 % (SGD), distilled 49.0 %. 783,856
parameters, 100.4 M multiplications an image. Not run here on an accelerator.

Its teacher has twice as many experts, of which only the SGD network teaches (expected
50.2 %; 1,543,888 parameters, 176.7 M multiplications an image). It is to be trained
first; the distilled run has the release's longer warm-up:

    python -m ltjax.main --config configs/cifar100_lt_ride.py:teacher
    python -m ltjax.main --config configs/cifar100_lt_ride.py \
        --objective.teacher runs/cifar100_lt_ride_teacher-seed0 \
        --optim.warmup-epochs 20 --out runs/ride_distilled

All rows: every re-training on top, a classifier for each expert, whose logits are
averaged. SRepr's alpha, temperature and start are those of configs/cifar100_lt.py, not
chosen for experts. After a run of the first command above, `--stage-one
runs/cifar100_lt_ride-seed0` takes over its backbones:

    python -m ltjax.main --config configs/cifar100_lt_ride.py:srepr

For a CPU, less than an hour on two cores that do nothing else: 16 of the 200 epochs,
class weights after 12, half a cosine to zero instead of steps. The files are those of
configs/cifar100_lt.py:cpu. Its augmentation is the one under which docs/results.md
compares the CPU forms of RIDE, SHIKE and MDCS:

    python -m ltjax.main --config configs/cifar100_lt_ride.py:cpu \
        --data.train cifar100_train.npz --data.test cifar100_test.npz

The same and all rows, the linear classifiers of experts together, with settings that
were chosen on held-out images of SHIKE (docs/decisions.md); `--stage-one
runs/cifar100_lt_ride_cpu-seed0` takes over the backbones:

    python -m ltjax.main --config configs/cifar100_lt_ride.py:srepr_cpu \
        --data.train cifar100_train.npz --data.test cifar100_test.npz
"""

from dataclasses import replace

from ltjax.config import (
    Augment,
    Classifier,
    Config,
    CosineDecay,
    Posterior,
    Ride,
    Sgd,
    StepDecay,
    Swa,
)
from ltjax.configs.cifar100_lt import DATA, EXPERTS, FILES, RETRAINED, RETRAINED_CPU

config = Config(
    data=DATA,
    augment=Augment(pad=4, flip=True, rotate=15.0),
    model=EXPERTS,
    objective=Ride(diversity=-0.45, reweight_factor=0.05, reweight_epoch=160),
    optim=Sgd(
        schedule=StepDecay(milestones=(160, 180), factor=0.01),
        epochs=200,
        warmup_epochs=5,
        drop_last=False,
    ),
    swa=Swa(start=160, lr=0.02, rank=20),
    posterior=Posterior(samples=10),
    classifier=Classifier(methods=(), views=1),
)
teacher = replace(config, model=replace(EXPERTS, count=6))
srepr = replace(config, classifier=RETRAINED)
cpu = replace(
    config,
    data=FILES,
    objective=replace(config.objective, reweight_epoch=12),
    optim=Sgd(schedule=CosineDecay(), epochs=16, warmup_epochs=1, drop_last=False),
    swa=Swa(start=12, lr=0.02, every_steps=17, rank=20),
    posterior=Posterior(samples=5),
)
srepr_cpu = replace(cpu, classifier=RETRAINED_CPU)
