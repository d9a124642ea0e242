"""The embedded digits, made long-tailed: 10 classes from 100 images down to 2.

    python -m ltjax.main --config configs/digits_lt.py

About a minute on two cores. The test set holds 74 images of every class, all that the
long tail leaves out of the smallest one. SRepr's alpha and temperature were chosen on
held-out training images (docs/decisions.md).
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
    data=Data(source="digits", imbalance_factor=50, largest=100),
    augment=Augment(pad=1),
    model=CifarResNet(depth=8, width=16),
    optim=Sgd(epochs=60, batch_size=32, warmup_epochs=3),
    swa=Swa(lr=0.05, rank=20),
    posterior=Posterior(samples=10),
    classifier=Classifier(
        epochs=100, batch_size=32, srepr=Srepr(alpha=0.2, temperature=1.0)
    ),
)
