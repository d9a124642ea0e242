r"""APA and AGLU on Places-LT: the last stage of an SE-ResNet-152, 40 epochs.

    python -m ltjax.main --config configs/places_lt_apa.py \
        --data.train places_lt_train.npz --data.test places_lt_test.npz

Not run yet. Alexandridis et al., ECCV 2024 (arXiv:2407.08567); images as for
configs/places_lt.py. The weights are those of their ImageNet-1k network,
`se_resnet152`, saved as `se_resnet152_apa.safetensors` under the names of its
`state_dict()`; the head is new. The row SGD + IIF is the published system.

Here otherwise than in the release: batch norm of the frozen stages keeps its
statistics, the last stage's kappa and lambda go on from the weights (released: drawn
anew), the scale of the head learns (released: it stays at 25); AutoAugment's policy is
that for CIFAR, not ImageNet's, so it is left out; the partner of a mixed image is that
of the reversed batch.

Expected, accuracy in % as published: 42.0; no NLL and no ECE. The SWA rate is ours and
not tuned.

Memory, by arithmetic: images 9.4 GB and 5.5 GB; trained weights, momentum, both moments
and 20 deviations about 17.3 M x 24 floats = 1.7 GB, other weights 0.2 GB; one bank of
features of 11 members 5.6 GB, of the test images 3.3 GB. Time: not measured.
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
        source="npz",
        train="places_lt_train.npz",
        test="places_lt_test.npz",
        manifest="places_lt",
    ),
    augment=Augment(flip=True),
    model=ResNet(
        name="resnet152",
        gate=Se(reduction=16, activation=Apa()),
        activation=Aglu(),
        head=Cosine(scale=25.0, norm="squashed", learnt=True),
        pretrained="se_resnet152_apa.safetensors",
        trained=("layer4", "head"),
        dtype="bfloat16",
    ),
    objective=CrossEntropy(mixup=0.2, cutmix=1.0, smoothing=0.1),
    optim=Sgd(
        lr=0.1,
        nesterov=False,
        weight_decay=5e-5,
        epochs=40,
        warmup_epochs=3,
        batch_size=256,
    ),
    swa=Swa(lr=0.01, rank=20),
    posterior=Posterior(samples=10, batch_size=256),
    classifier=Classifier(
        methods=("iif", "la_posthoc", "crt", "la", "srepr"),
        epochs=10,
        batch_size=256,
        views=1,
        srepr=Srepr(alpha=0.5, temperature=2.0),
    ),
)
