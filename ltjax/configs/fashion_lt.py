r"""Fashion-MNIST-LT at imbalance factor 100, 16 epochs per backbone, for a CPU.

    python -m ltjax.main --config configs/fashion_lt.py:cpu \
        --data.train fashion_train.npz --data.test fashion_test.npz

The files hold Fashion-MNIST in official order: `image` uint8 [N, 28, 28, 1] and
`label`; a file of only some of the images also needs `rank`, the place of each in the
long-tailed draw. Fashion-MNIST has no customary long-tailed version: this is the rule
and the draw of CIFAR-100-LT, 6,000 images of class 0 down to 60 of class 9, 14,886 in
all. SRepr's settings were chosen on held-out training images (docs/decisions.md). Its
validation runs, `--data.holdout 50`, take `--data.largest 5900` (`--holdout-largest
5900` of experiments/tables/lines.py). Its figures are in docs/results.md.
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

cpu = Config(
    data=Data(
        source="npz",
        train="fashion_train.npz",
        test="fashion_test.npz",
        imbalance_factor=100,
        largest=6000,
    ),
    augment=Augment(pad=2, flip=True),
    model=CifarResNet(depth=20),
    optim=Sgd(epochs=16, warmup_epochs=1),
    swa=Swa(start=10, lr=0.02, rank=20),
    posterior=Posterior(samples=10),
    classifier=Classifier(epochs=20, views=2, srepr=Srepr(alpha=0.2, temperature=1.0)),
)
