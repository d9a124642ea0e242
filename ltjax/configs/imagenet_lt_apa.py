"""APA and AGLU on ImageNet-LT: an SE-ResNet-50, 200 epochs.

    python -m ltjax.main --config configs/imagenet_lt_apa.py \
        --data.directory TFDS_FOLDER

Not run yet. Alexandridis et al., ECCV 2024 (arXiv:2407.08567); data as for
configs/imagenet_lt.py. The row SGD + IIF is the published system. For the SE-ResNeXt-50
give `--model.name resnext50`. 28,101,314 parameters with 1,000 classes.

Here otherwise than in the release: AutoAugment's policy for ImageNet is not there,
colours are jittered instead; the partner of a mixed image is that of the reversed
batch, the rate falls step by step, the gradient of lambda is the true one (released:
`--model.activation.gradient released`).

Expected, accuracy in % as published: SE-ResNet-50 57.9, SE-ResNeXt-50 59.1; no NLL and
no ECE. IIF alone, SE-ResNet-50: 55.87. The SWA rate is ours and not tuned.

Memory, by arithmetic: weights, momentum, both moments and 20 deviations 28,101,314 x 24
floats = 2.7 GB; all else about as for configs/imagenet_lt.py, but that the outputs of
batch norm are kept for AGLU's gradient where ReLU keeps its own. Time: not measured.
"""

from ltjax.config import (
    Aglu,
    Apa,
    Augment,
    Classifier,
    Config,
    Cosine,
    CrossEntropy,
    Data,
    Posterior,
    ResNet,
    Se,
    Sgd,
    Srepr,
    Swa,
)

config = Config(
    data=Data(
        source="tfds:imagenet_lt",
        manifest="imagenet_lt",
        size=224,
        stream=True,
        workers=8,
    ),
    augment=Augment(crop_area=0.08, flip=True, jitter=0.4),
    model=ResNet(
        name="resnet50",
        gate=Se(reduction=16, activation=Apa()),
        activation=Aglu(),
        head=Cosine(scale=16.0, norm="squashed"),
        dtype="bfloat16",
    ),
    objective=CrossEntropy(mixup=0.2),
    optim=Sgd(
        lr=0.2,
        nesterov=False,
        weight_decay=1e-4,
        epochs=200,
        warmup_epochs=3,
        batch_size=256,
    ),
    swa=Swa(lr=0.02, rank=20),
    posterior=Posterior(samples=10, batch_size=256),
    classifier=Classifier(
        methods=("iif", "la_posthoc", "crt", "la", "srepr"),
        epochs=10,
        batch_size=256,
        views=1,
        srepr=Srepr(alpha=0.5, temperature=2.0),
    ),
)
