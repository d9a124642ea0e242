r"""CIFAR-100-LT at imbalance factors 10, 50, 100 and 200: 200 epochs, for a GPU or TPU.

    python -m ltjax.main --config configs/cifar100_lt.py
    python -m ltjax.main --config configs/cifar100_lt.py --name cifar100_lt_if10 \
        --data.imbalance-factor 10

The whole CIFAR-100 in official order comes from TFDS (`--data.download True` fetches it
once), or from two files: `--data.source npz --data.train A.npz --data.test B.npz`. The
manifest locks which images are kept, at these four factors; at another one give
`--data.manifest None`.

Expected, accuracy in % from the literature, ResNet-32 (not run here on an accelerator):

    factor   images   plain   decoupled   logit adjustment   MiSLAS (its ECE)
    10       19,573   -       -           -                  63.2 (0.017)
    50       12,608   -       -           -                  52.3 (0.025)
    100      10,847   39.1    43.3        43.9               47.0 (0.048)
    200       9,502   no figure known

Memory, by arithmetic at factor 100: images 33 MB, weights, momentum, both moments and
20 deviations 470,004 x 24 floats = 45 MB, the four banks of features 122 MB. Time: not
measured on an accelerator.

For a CPU, at factor 100, 48 epochs per backbone:

    python -m ltjax.main --config configs/cifar100_lt.py:cpu \
        --data.train cifar100_train.npz --data.test cifar100_test.npz

The files hold the whole CIFAR-100 in official order: `image` uint8 [N, 32, 32, 3] and
`label`. One to two hours on two cores that do nothing else; it may be stopped and goes
on. Its figures are in docs/results.md; how SRepr's alpha, temperature and form were
chosen is in docs/decisions.md.
"""

from dataclasses import replace

from ltjax.config import (
    Augment,
    CifarResNet,
    Classifier,
    Config,
    Cosine,
    Data,
    Experts,
    Posterior,
    Sgd,
    Srepr,
    Swa,
)

# What configs/cifar100_lt_{ride,shike,mdcs}.py share with this one, and each other.
DATA = Data(source="tfds:cifar100", imbalance_factor=100, manifest="cifar100_lt")
FILES = replace(
    DATA, source="npz", train="cifar100_train.npz", test="cifar100_test.npz"
)
EXPERTS = Experts(
    of=CifarResNet(depth=32, init="fan_in", head=Cosine(scale=30.0)),
    count=3,
    branch=2,
    width=12,
)
SREPR = Srepr(alpha=0.6, temperature=4.0, head="stage_one")
# Every re-training on top of experts; that of the CPU forms was chosen on held-out
# images of SHIKE (docs/decisions.md).
RETRAINED = Classifier(
    methods=("crt", "lws", "la_posthoc", "la", "srepr"), epochs=20, srepr=SREPR
)
RETRAINED_CPU = replace(
    RETRAINED,
    lr=0.5,
    weight_decay=2e-4,
    views=2,
    experts="together",
    srepr=Srepr(alpha=0.4, temperature=2.0, head="stage_one"),
)

config = Config(
    data=DATA,
    augment=Augment(pad=4, flip=True),
    model=CifarResNet(depth=32),
    optim=Sgd(epochs=200, warmup_epochs=5),
    swa=Swa(lr=0.02, rank=20),
    posterior=Posterior(samples=10),
    classifier=Classifier(epochs=20, srepr=SREPR),
)
cpu = replace(config, data=FILES, optim=Sgd(epochs=48, warmup_epochs=2))
