r"""SHIKE on CIFAR-100-LT at imbalance factor 100: three experts, 180 + 20 epochs.

    python -m ltjax.main --config configs/cifar100_lt_shike.py

Jin et al., CVPR 2023 (arXiv:2304.01279), for a GPU; data as for configs/cifar100_lt.py,
but the tail keeps the first images of each class in the file, as the release does
(`--data.subset draw --data.manifest cifar100_lt` is what RIDE and MDCS train on).
The row SGD is the first stage, SGD + LA the second: new heads under balanced softmax,
20 epochs.

Here otherwise than in the release: the heads of the second stage are linear ones of
features of one length, they see four augmented views in turn, under fixed batch-norm
statistics, without weight decay on what is frozen, at a rate of half a cosine from 0.1
without warm-up, with Nesterov's momentum; pixels are normalised by the moments of the
training images, the last batch is filled up; all is computed in float32.

Expected, from the literature: 48.1 % after the first stage (SGD), 56.3 % at the end
(SGD + LA). 1,257,808 parameters, 120.1 M multiplications an image. Not run here on an
accelerator.

All rows: every re-training on top, a classifier for each expert, whose logits are
averaged. SRepr's alpha, temperature and start are those of configs/cifar100_lt.py, not
chosen for experts. After a run of the command above, `--stage-one
runs/cifar100_lt_shike-seed0` takes over its backbones:

    python -m ltjax.main --config configs/cifar100_lt_shike.py:srepr

For a CPU, less than an hour on two cores that do nothing else: 16 of the 180 epochs of
the first stage, half a cosine from 0.1, the images that the CPU forms of RIDE and MDCS
train on, and a second stage from a rate of 0.5, chosen on held-out images
(docs/decisions.md). The files are those of configs/cifar100_lt.py:cpu. Under RIDE's
augmentation: `--augment.rotate 15 --augment.policy None --augment.cutout 0`.

    python -m ltjax.main --config configs/cifar100_lt_shike.py:cpu \
        --data.train cifar100_train.npz --data.test cifar100_test.npz

The same and all rows. The published SHIKE, after its second stage, is the row SGD + LA
of the command before, where each expert's classifier learns alone; here all linear ones
learn together, with settings that were chosen on held-out images (docs/decisions.md).
`--stage-one runs/cifar100_lt_shike_cpu-seed0` takes over the backbones:

    python -m ltjax.main --config configs/cifar100_lt_shike.py:srepr_cpu \
        --data.train cifar100_train.npz --data.test cifar100_test.npz
"""

from dataclasses import replace

from ltjax.config import (
    Augment,
    Classifier,
    Config,
    CosineByEpoch,
    CosineDecay,
    Experts,
    Posterior,
    Sgd,
    Shike,
    Swa,
)
from ltjax.configs.cifar100_lt import DATA, EXPERTS, FILES, RETRAINED, RETRAINED_CPU

config = Config(
    data=replace(DATA, subset="first", manifest=None),
    augment=Augment(pad=4, flip=True, policy="autoaugment", cutout=16),
    model=Experts(of=replace(EXPERTS.of, shortcut="B"), count=3, branch=3, fused=True),
    objective=Shike(),
    optim=Sgd(
        schedule=CosineByEpoch(start_lr=0.05),
        lr=0.15,
        epochs=180,
        warmup_epochs=5,
        nesterov=False,
        drop_last=False,
    ),
    swa=Swa(start=140, lr=0.02, rank=20),
    posterior=Posterior(samples=10),
    classifier=Classifier(methods=("la",), epochs=20),
)
srepr = replace(config, classifier=RETRAINED)
cpu = replace(
    config,
    data=FILES,
    optim=replace(
        config.optim, schedule=CosineDecay(), lr=0.1, epochs=16, warmup_epochs=2
    ),
    swa=Swa(start=12, lr=0.02, every_steps=17, rank=20),
    posterior=Posterior(samples=5),
    classifier=replace(config.classifier, lr=0.5, views=2),
)
srepr_cpu = replace(cpu, classifier=RETRAINED_CPU)
