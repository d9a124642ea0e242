"""Images without labels, sorted into clusters of unequal size by P2OT.

    python -m ltjax.main --config configs/clusters.py --data.path photos \
        --data.classes 20 --model resnet50 --model.pretrained resnet50.safetensors
"""

from ltjax.config import (
    Augment,
    Classifier,
    Config,
    Data,
    Given,
    P2ot,
    Posterior,
    ResNet,
    Several,
    Sgd,
    Swa,
)

config = Config(
    data=Data(source="unlabelled", classes=10),
    augment=Augment(flip=True),
    model=ResNet(head=Several(count=2), trained=("layer4", "head")),
    objective=P2ot(),
    optim=Sgd(lr=0.05, epochs=20, batch_size=128, warmup_epochs=1, weight_decay=0.0),
    swa=Swa(lr=0.02, rank=5),
    posterior=Posterior(samples=5),
    classifier=Classifier(methods=(), views=None),
)

features = Config(
    data=Data(source="features", classes=10),
    augment=Augment(pad=0, flip=False),
    model=Given(head=Several(count=2)),
    objective=P2ot(),
    optim=Sgd(lr=0.5, epochs=20, batch_size=128, warmup_epochs=1, weight_decay=0.0),
    swa=Swa(lr=0.2, rank=5),
    posterior=Posterior(samples=5),
    classifier=Classifier(methods=(), views=None),
)
