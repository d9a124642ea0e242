"""SHIKE on CIFAR-100-LT at imbalance factor 100: three experts, 180 + 20 epochs.

    python -m ltjax.main --config configs/cifar100_lt_shike.py

Jin et al., CVPR 2023 (arXiv:2304.01279), for a GPU; data as for configs/cifar100_lt.py,
but the tail keeps the first images of each class in the file, as the release does
(`--data.subset draw --data.manifest cifar100_lt` is what RIDE and MDCS train on).
The row SGD is the first stage, SGD + LA the second: new heads under balanced softmax,
20 epochs. What else re-training adds is in configs/cifar100_lt_shike_srepr.py.

Here otherwise than in the release: the heads of the second stage are linear ones of
features of one length, they see four augmented views in turn, under fixed batch-norm
statistics, without weight decay on what is frozen, at a rate of half a cosine from 0.1
without warm-up, with Nesterov's momentum; pixels are normalised by the moments of the
training images, the last batch is filled up; all is computed in float32.

Expected, from the literature: 48.1 % after the first stage (SGD), 56.3 % at the end
(SGD + LA). 1,257,808 parameters, 120.1 M multiplications an image. Not run here on an
accelerator.
"""

from ltjax.config import (
    Classifier,
    Config,
    Data,
    Experts,
    Model,
    Optim,
    Posterior,
    Swa,
)

config = Config(
    data=Data(
        source="tfds:cifar100",
        imbalance_factor=100,
        subset="first",
        pad=4,
        flip=True,
        policy="autoaugment",
        cutout=16,
    ),
    model=Model(
        depth=32,
        shortcut="B",
        init="fan_in",
        head="cosine",
        scale=30.0,
        experts=Experts(count=3, branch=3, fused=True),
    ),
    optim=Optim(
        loss="shike",
        schedule="cosine_by_epoch",
        lr=0.15,
        start_lr=0.05,
        epochs=180,
        warmup_epochs=5,
        nesterov=False,
        drop_last=False,
    ),
    swa=Swa(start=140, lr=0.02, rank=20),
    posterior=Posterior(samples=10),
    classifier=Classifier(methods=("la",), epochs=20),
)
