r"""CIFAR-100-LT at imbalance factor 100, 48 epochs per backbone, for a CPU.

    python -m ltjax.main --config configs/cifar100_lt_cpu.py \
        --data.train cifar100_train.npz --data.test cifar100_test.npz

The files hold the whole CIFAR-100 in official order: `image` uint8 [N, 32, 32, 3] and
`label`. One to two hours on two cores that do nothing else; it may be stopped and goes
on. Its figures are in docs/results.md; how SRepr's alpha,
temperature and form were chosen is in docs/decisions.md.
"""

from ltjax.config import Classifier, Config, Data, Model, Optim, Posterior, Srepr, Swa

config = Config(
    data=Data(
        source="npz",
        train="cifar100_train.npz",
        test="cifar100_test.npz",
        imbalance_factor=100,
        manifest="cifar100_lt",
        pad=4,
        flip=True,
    ),
    model=Model(depth=32),
    optim=Optim(epochs=48, warmup_epochs=2),
    swa=Swa(lr=0.02, rank=20),
    posterior=Posterior(samples=10),
    classifier=Classifier(
        epochs=20, srepr=Srepr(alpha=0.6, temperature=4.0, head="stage_one")
    ),
)
