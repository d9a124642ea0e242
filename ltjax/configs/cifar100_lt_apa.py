r"""APA and AGLU on CIFAR-100-LT at imbalance factor 100: an SE-ResNet-32, 500 epochs.

    python -m ltjax.main --config configs/cifar100_lt_apa.py

Alexandridis et al., ECCV 2024 (arXiv:2407.08567), as released: gates of SE with APA, a
layer norm and dropout, AGLU in the place of every ReLU, a squashed cosine head, crops,
flips, AutoAugment, cutout, mixup. Data as for configs/cifar100_lt.py. The row SGD + IIF
is the published system; SWA averages the weights of the last quarter under a rate of
its own. 484,556 parameters.

Here otherwise than in the release: the gradient of lambda is the true one (released:
`--model.activation.gradient released`), and below its floor lambda keeps one (released:
`--model.activation.clamp True` and `--model.gate.activation.clamp True`); the partner
of a mixed image is that of the reversed batch, the rate falls step by step, pixels are
normalised by the moments of the training images, and batch-norm statistics are taken
anew of the training images before testing.

Expected: no figure was published for this set. Not run here on an accelerator.

For a CPU, 16 epochs, the views and the rates under which docs/results.md compares
systems on one: an hour or two on two busy cores. The files are those of
configs/cifar100_lt.py:cpu. What gates and layers add is told by the same network with a
sigmoid in its gates and ReLU, and with APA in its gates and ReLU:

    python -m ltjax.main --config configs/cifar100_lt_apa.py:cpu \
        --data.train cifar100_train.npz --data.test cifar100_test.npz
    python -m ltjax.main --config configs/cifar100_lt_apa.py:se_cpu \
        --data.train cifar100_train.npz --data.test cifar100_test.npz
    python -m ltjax.main --config configs/cifar100_lt_apa.py:gates_cpu \
        --data.train cifar100_train.npz --data.test cifar100_test.npz

Three times as long: `--optim.epochs 48 --optim.warmup-epochs 2 --swa.start 36`, and a
`--name` of its own. The page of a run shows what kappa and lambda each layer learnt.
"""

from dataclasses import replace

from ltjax.config import (
    Aglu,
    Apa,
    Augment,
    CifarResNet,
    Config,
    Cosine,
    CrossEntropy,
    Posterior,
    Relu,
    Se,
    Sgd,
    Swa,
)
from ltjax.configs.cifar100_lt import DATA, FILES, RETRAINED, RETRAINED_CPU

MODEL = CifarResNet(
    depth=32,
    init="fan_in",
    gate=Se(reduction=4, activation=Apa()),
    activation=Aglu(),
    head=Cosine(scale=16.0, norm="squashed"),
)
METHODS = ("iif", "la_posthoc", "la", "srepr")

config = Config(
    data=DATA,
    augment=Augment(pad=4, flip=True, policy="autoaugment", cutout=16),
    model=MODEL,
    objective=CrossEntropy(mixup=0.2),
    optim=Sgd(
        lr=0.2,
        nesterov=False,
        weight_decay=1e-3,
        epochs=500,
        warmup_epochs=3,
        batch_size=512,
    ),
    swa=Swa(lr=0.02, rank=20),
    posterior=Posterior(samples=10),
    classifier=replace(RETRAINED, methods=METHODS),
)
cpu = replace(
    config,
    data=FILES,
    augment=Augment(pad=4, flip=True, rotate=15.0),
    objective=CrossEntropy(),
    optim=Sgd(epochs=16, warmup_epochs=1, drop_last=False),
    swa=Swa(start=12, lr=0.02, every_steps=17, rank=20),
    posterior=Posterior(samples=5),
    classifier=replace(RETRAINED_CPU, methods=METHODS, experts="alone"),
)
se_cpu = replace(cpu, model=replace(MODEL, gate=Se(reduction=4), activation=Relu()))
gates_cpu = replace(cpu, model=replace(MODEL, activation=Relu()))
