r"""CIFAR-100-LT with what is known beside each image: a small MetaFormer, from nothing.

    python experiments/tables/metadata.py write --share 0.5 \
        --train cifar100_train.npz --test cifar100_test.npz --to known
    python -m ltjax.main --config configs/cifar100_lt_metaformer.py:cpu \
        --data.train known/train.npz --data.test known/test.npz
    python -m ltjax.main --config configs/cifar100_lt_metaformer.py:resnet_cpu \
        --data.train known/train.npz --data.test known/test.npz
    python -m ltjax.main --config configs/cifar100_lt_metaformer.py \
        --data.train known/train.npz --data.test known/test.npz

What is known is made, for a controlled experiment: the superclass, of 20, of a share of
the images, and another one for a tenth of those, in training and in the test alike. The
files are those of configs/cifar100_lt.py:cpu and an array `meta` [N, 20], zeros where
nothing is told. `:cpu` is a MetaFormer of 1.5 M weights that sees a quarter of the
pixels in its first blocks, with a token of the superclass; `:resnet_cpu` the ResNet-32
of configs/cifar100_lt.py with a late join. The first config is for an accelerator.

Expected: nothing is published, and nothing measured yet (docs/metadata.md).

Memory, by arithmetic, of `:cpu`: images 33 MB, weights, both moments of AdamW, mean,
scatter and 10 deviations 1,515,363 x 16 floats = 97 MB; banks of features below 1 GB.
Time: not measured; a step of 128 images took as much processor time as one of
ResNet-32.
"""

from dataclasses import replace

from ltjax.config import (
    AdamW,
    Augment,
    CifarResNet,
    Classifier,
    Config,
    CosineThroughout,
    MetaFormer,
    Posterior,
    Sgd,
    Srepr,
    Swa,
)
from ltjax.configs import cifar100_lt

_DATA = replace(cifar100_lt.FILES, meta=("meta",))
_SMALL = MetaFormer(
    conv_dims=(32, 48, 96),
    attention_dims=(128, 192),
    conv_blocks=(1, 2),
    attention_blocks=(2, 1),
    heads=4,
    image=32,
    stem=2,
)

config = Config(
    data=_DATA,
    augment=Augment(pad=4, flip=True, policy="autoaugment"),
    model=replace(_SMALL, conv_dims=(64, 96, 192), attention_dims=(256, 384), stem=1),
    optim=AdamW(
        lr=1e-3,
        epochs=200,
        warmup_epochs=10,
        batch_size=128,
        schedule=CosineThroughout(),
    ),
    swa=Swa(start=150, lr=1e-4, rank=20),
    posterior=Posterior(samples=10),
    # Features have the length of the root of their number, not that of a ResNet's.
    classifier=Classifier(
        methods=("ncm", "la_posthoc", "la", "srepr"),
        epochs=20,
        lr=0.02,
        views=2,
        srepr=Srepr(alpha=0.5, temperature=2.0),
    ),
)
cpu = replace(
    config,
    augment=Augment(pad=4, flip=True),
    model=_SMALL,
    optim=replace(config.optim, epochs=48, warmup_epochs=2),
    swa=Swa(start=36, lr=1e-4, rank=10),
    posterior=Posterior(samples=5),
)
resnet_cpu = replace(
    cifar100_lt.cpu,
    data=_DATA,
    model=CifarResNet(depth=32),
    optim=Sgd(epochs=48, warmup_epochs=2),
    posterior=Posterior(samples=5),
)
