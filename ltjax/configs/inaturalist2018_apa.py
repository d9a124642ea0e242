"""APA and AGLU on iNaturalist 2018: an SE-ResNet-50, 500 epochs.

    python -m ltjax.main --config configs/inaturalist2018_apa.py \
        --data.directory TFDS_FOLDER

Not run yet. Alexandridis et al., ECCV 2024 (arXiv:2407.08567); data as for
configs/inaturalist2018.py. The row SGD is the published system: this set's command has
no IIF. Mixup or cutmix in every batch, labels smoothed by 0.1.

Here otherwise than in the release: three views of an image in a batch (released: four);
images of 224 pixels in training too (released: 192); weight decay on batch norm; the
partner of a mixed image is that of the reversed batch, and the gradient of lambda is
the true one (released: `--model.activation.gradient released`).

Expected, accuracy in % as published: 74.8; no NLL and no ECE. The SWA rate is ours and
not tuned. Five draws instead of ten, for memory.

Memory, by arithmetic: weights, momentum, both moments and 20 deviations 42,727,138 x 24
floats = 4.1 GB; outputs of one step are four times those of configs/inaturalist2018.py,
whose banks of features are as large. Time: not measured.
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
        source="tfds:i_naturalist2018",
        manifest="inaturalist2018",
        size=224,
        stream=True,
        workers=8,
    ),
    augment=Augment(crop_area=0.08, flip=True, policy="randaugment", erase=0.1),
    model=ResNet(
        name="resnet50",
        gate=Se(reduction=16, activation=Apa()),
        activation=Aglu(),
        head=Cosine(scale=16.0, norm="squashed"),
        dtype="bfloat16",
    ),
    objective=CrossEntropy(mixup=0.2, cutmix=1.0, smoothing=0.1),
    optim=Sgd(
        lr=0.5,
        nesterov=False,
        weight_decay=1e-4,
        epochs=500,
        warmup_epochs=5,
        batch_size=1024,
        sampling="repeated",
    ),
    swa=Swa(lr=0.05, rank=20),
    posterior=Posterior(samples=5, batch_size=256),
    classifier=Classifier(
        methods=("iif", "la_posthoc", "crt", "la", "srepr"),
        epochs=10,
        batch_size=256,
        weight_decay=1e-4,
        views=1,
        srepr=Srepr(alpha=0.5, temperature=2.0),
    ),
)
