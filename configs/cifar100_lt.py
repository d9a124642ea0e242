"""CIFAR-100-LT at imbalance factor 100, the 200-epoch recipe, for a GPU or TPU.

    python -m ltjax.main --config configs/cifar100_lt.py

The whole CIFAR-100 in official order comes from TFDS (`--data.download True` fetches it
once), or from two files: `--data.source npz --data.train A.npz --data.test B.npz`.
Not run yet on an accelerator: no figure is claimed. Expected from the literature: about
39 % without re-training, 43 to 47 % with it.
"""

from ltjax.config import Classifier, Config, Data, Model, Optim, Posterior, Srepr, Swa

config = Config(
    data=Data(source="tfds:cifar100", imbalance_factor=100, pad=4, flip=True),
    model=Model(depth=32),
    optim=Optim(epochs=200, warmup_epochs=5),
    swa=Swa(lr=0.02, rank=20),
    posterior=Posterior(samples=10),
    classifier=Classifier(epochs=20, srepr=Srepr(alpha=0.5, temperature=2.0)),
)
