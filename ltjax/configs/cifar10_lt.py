"""CIFAR-10-LT at imbalance factors 10, 50, 100 and 200: 200 epochs, for a GPU or TPU.

    python -m ltjax.main --config configs/cifar10_lt.py
    python -m ltjax.main --config configs/cifar10_lt.py --name cifar10_lt_if10 \
        --data.imbalance-factor 10

The whole CIFAR-10 in official order comes from TFDS (`--data.download True` fetches it
once), or from two files: `--data.source npz --data.train A.npz --data.test B.npz`. The
manifest locks the images of every class at these four factors (which images, it does
not say for CIFAR-10); at another factor give `--data.manifest None`.

Expected, accuracy in % from the literature, ResNet-32 (not run here):

    factor   images   logit adjustment   MiSLAS (its ECE)
    10       20,431   -                  90.0 (0.012)
    50       13,996   -                  85.7 (0.020)
    100      12,406   80.9               82.5 (0.037)
    200      11,203   no figure known

The recipe and SRepr's settings are those of CIFAR-100-LT, not chosen for this set.
Memory, by arithmetic at factor 100: images 38 MB, weights, momentum, both moments and
20 deviations 464,154 x 24 floats = 45 MB, the four banks of features 140 MB. Time: not
measured.
"""

from ltjax.config import (
    Augment,
    CifarResNet,
    Classifier,
    Config,
    Data,
    Posterior,
    Sgd,
    Srepr,
    Swa,
)

config = Config(
    data=Data(source="tfds:cifar10", imbalance_factor=100, manifest="cifar10_lt"),
    augment=Augment(pad=4, flip=True),
    model=CifarResNet(depth=32),
    optim=Sgd(epochs=200, warmup_epochs=5),
    swa=Swa(lr=0.02, rank=20),
    posterior=Posterior(samples=10),
    classifier=Classifier(
        epochs=20, srepr=Srepr(alpha=0.6, temperature=4.0, head="stage_one")
    ),
)
