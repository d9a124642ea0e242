"""CIFAR-100-LT at imbalance factors 10, 50, 100 and 200: 200 epochs, for a GPU or TPU.

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
measured on an accelerator; configs/cifar100_lt_cpu.py is the form for a CPU.
"""

from ltjax.config import Classifier, Config, Data, Model, Optim, Posterior, Srepr, Swa

config = Config(
    data=Data(
        source="tfds:cifar100",
        imbalance_factor=100,
        manifest="cifar100_lt",
        pad=4,
        flip=True,
    ),
    model=Model(depth=32),
    optim=Optim(epochs=200, warmup_epochs=5),
    swa=Swa(lr=0.02, rank=20),
    posterior=Posterior(samples=10),
    classifier=Classifier(
        epochs=20, srepr=Srepr(alpha=0.6, temperature=4.0, head="stage_one")
    ),
)
