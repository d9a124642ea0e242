r"""MDCS on CIFAR-100-LT at imbalance factor 100: three experts, 400 epochs, for a GPU.

    python -m ltjax.main --config configs/cifar100_lt_mdcs.py

Zhao et al., ICCV 2023 (arXiv:2308.09922); data as for configs/cifar100_lt.py. The row
SGD is the published system: the experts learn under log priors times -0.5, 1 and 2.5
(for many, medium and few), each distilled from a weak view of the images it has right
to a strong one. `results.json` tells each expert alone. SWA averages the weights of
epochs 321 to 400. The 200-epoch form is `--optim.epochs 200
--optim.schedule.milestones 160 180 --swa.start 160`.

Here otherwise than in the release: pixels are normalised by the moments of the
training images, the last batch is filled up, batch-norm statistics (of both views in
training) are taken anew of the plain training images before testing.

Expected, from the literature: 56.1 %, its experts 40.6, 50.8 and 36.0 % (SGD). 783,856
parameters, 100.4 M multiplications an image. Not run here on an accelerator.

All rows: every re-training on top, a classifier for each expert, whose logits are
averaged. SRepr's alpha, temperature and start are those of configs/cifar100_lt.py, not
chosen for experts. After a run of the command above, `--stage-one
runs/cifar100_lt_mdcs-seed0` takes over its backbones:

    python -m ltjax.main --config configs/cifar100_lt_mdcs.py:srepr

For a CPU, about an hour on two cores that do nothing else: 16 of the 400 epochs, half a
cosine to zero instead of steps, the distillation at its full weight from the second
epoch on. An epoch costs as much as two of RIDE's, as images are seen in two views. The
files are those of configs/cifar100_lt.py:cpu. Under RIDE's augmentation in both views:
`--augment.policy None --augment.cutout 0`.

    python -m ltjax.main --config configs/cifar100_lt_mdcs.py:cpu \
        --data.train cifar100_train.npz --data.test cifar100_test.npz

The same and all rows, the linear classifiers of experts together, with settings that
were chosen on held-out images of SHIKE (docs/decisions.md); `--stage-one
runs/cifar100_lt_mdcs_cpu-seed0` takes over the backbones:

    python -m ltjax.main --config configs/cifar100_lt_mdcs.py:srepr_cpu \
        --data.train cifar100_train.npz --data.test cifar100_test.npz
"""

from dataclasses import replace

from ltjax.config import (
    Augment,
    Classifier,
    Config,
    CosineDecay,
    Mdcs,
    Posterior,
    Sgd,
    StepDecay,
    Swa,
)
from ltjax.configs.cifar100_lt import DATA, EXPERTS, FILES, RETRAINED, RETRAINED_CPU

config = Config(
    data=DATA,
    augment=Augment(pad=4, flip=True, rotate=15.0, policy="autoaugment", cutout=16),
    model=EXPERTS,
    objective=Mdcs(scales=(-0.5, 1.0, 2.5), consistency=0.6, ramp_epochs=20),
    optim=Sgd(
        schedule=StepDecay(milestones=(200, 320, 380), factor=0.1),
        epochs=400,
        warmup_epochs=20,
        batch_size=64,
        drop_last=False,
    ),
    swa=Swa(start=320, lr=0.02, rank=20),
    posterior=Posterior(samples=10),
    classifier=Classifier(methods=(), views=1),
)
srepr = replace(config, classifier=RETRAINED)
cpu = replace(
    config,
    data=FILES,
    objective=replace(config.objective, ramp_epochs=2),
    optim=replace(config.optim, schedule=CosineDecay(), epochs=16, warmup_epochs=1),
    swa=Swa(start=12, lr=0.02, every_steps=34, rank=20),
    posterior=Posterior(samples=5),
)
srepr_cpu = replace(cpu, classifier=RETRAINED_CPU)
