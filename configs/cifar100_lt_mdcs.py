"""MDCS on CIFAR-100-LT at imbalance factor 100: three experts, 400 epochs, for a GPU.

    python -m ltjax.main --config configs/cifar100_lt_mdcs.py

Zhao et al., ICCV 2023 (arXiv:2308.09922); data as for configs/cifar100_lt.py. The row
SGD is the published system: the experts learn under log priors times -0.5, 1 and 2.5
(for many, medium and few), each distilled from a weak view of the images it has right
to a strong one. `results.json` tells each expert alone. SWA averages the weights of
epochs 321 to 400. The 200-epoch form is `--optim.epochs 200 --optim.milestones 160 180
--swa.start 160`. What re-training adds is in configs/cifar100_lt_mdcs_srepr.py.

Here otherwise than in the release: pixels are normalised by the moments of the
training images, the last batch is filled up, batch-norm statistics (of both views in
training) are taken anew of the plain training images before testing.

Expected, from the literature: 56.1 %, its experts 40.6, 50.8 and 36.0 % (SGD). 783,856
parameters, 100.4 M multiplications an image. Not run here on an accelerator.
"""

from ltjax.config import (
    Classifier,
    Config,
    Data,
    Experts,
    Mdcs,
    Model,
    Optim,
    Posterior,
    Swa,
)

config = Config(
    data=Data(
        source="tfds:cifar100",
        imbalance_factor=100,
        manifest="cifar100_lt",
        pad=4,
        flip=True,
        rotate=15.0,
        policy="autoaugment",
        cutout=16,
    ),
    model=Model(
        depth=32,
        init="fan_in",
        head="cosine",
        scale=30.0,
        experts=Experts(count=3, branch=2, width=12),
    ),
    optim=Optim(
        loss="mdcs",
        mdcs=Mdcs(scales=(-0.5, 1.0, 2.5), consistency=0.6, ramp_epochs=20),
        schedule="steps",
        milestones=(200, 320, 380),
        factor=0.1,
        epochs=400,
        warmup_epochs=20,
        batch_size=64,
        drop_last=False,
    ),
    swa=Swa(start=320, lr=0.02, rank=20),
    posterior=Posterior(samples=10),
    classifier=Classifier(methods=(), views=1),
)
