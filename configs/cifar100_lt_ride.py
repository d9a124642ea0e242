r"""RIDE on CIFAR-100-LT at imbalance factor 100: three experts, 200 epochs, for a GPU.

    python -m ltjax.main --config configs/cifar100_lt_ride.py

Wang et al., ICLR 2021 (arXiv:2010.01809); its router is trained on the finished run, by
`python -m ltjax.route`. Data as for configs/cifar100_lt.py. The row SGD is the
published system: reduced experts, cosine heads, margins, diversity, class weights after
epoch 160, the rate times 0.01 at 160 and 180. SWA averages the weights of epochs 161 to
200 under a rate of its own. What re-training adds is in
configs/cifar100_lt_ride_srepr.py.

Distilled, with the release's longer warm-up, from the six experts of
configs/cifar100_lt_ride_teacher.py, which are to be trained first:

    python -m ltjax.main --config configs/cifar100_lt_ride.py \
        --optim.ride.teacher runs/cifar100_lt_ride_teacher-seed0 \
        --optim.warmup-epochs 20 --out runs/ride_distilled

Here otherwise than in the release: pixels are normalised by the moments of the
training images, the last batch is filled up, batch-norm statistics are taken anew of
the training images before testing.

Expected, from the literature: 48.0 to 48.7 % (SGD), distilled 49.0 %. 783,856
parameters, 100.4 M multiplications an image. Not run here on an accelerator.
"""

from ltjax.config import (
    Classifier,
    Config,
    Data,
    Experts,
    Model,
    Optim,
    Posterior,
    Ride,
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
    ),
    model=Model(
        depth=32,
        init="fan_in",
        head="cosine",
        scale=30.0,
        experts=Experts(count=3, branch=2, width=12),
    ),
    optim=Optim(
        loss="ride",
        ride=Ride(diversity=-0.45, reweight_factor=0.05, reweight_epoch=160),
        schedule="steps",
        milestones=(160, 180),
        factor=0.01,
        epochs=200,
        warmup_epochs=5,
        drop_last=False,
    ),
    swa=Swa(start=160, lr=0.02, rank=20),
    posterior=Posterior(samples=10),
    classifier=Classifier(methods=(), views=1),
)
