"""The embedded digits, made long-tailed: 10 classes from 120 images down to 6.

    python -m ltjax.main --config configs/digits_lt.py
"""

from ltjax.config import Classifier, Config, Data, Model, Optim, Posterior, Swa

config = Config(
    name="digits_lt",
    data=Data(source="digits", imbalance_factor=20, largest=120, pad=1),
    model=Model(depth=8, width=16),
    optim=Optim(epochs=60, batch_size=64, warmup_epochs=3),
    swa=Swa(start=40, lr=0.05, rank=20),
    posterior=Posterior(samples=10),
    classifier=Classifier(epochs=40, batch_size=64),
)
