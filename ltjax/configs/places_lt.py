r"""Places-LT, 62,500 images of 365 scenes (4,980 to 5): the last stage of a ResNet-152.

    python -m ltjax.main --config configs/places_lt.py \
        --data.train places_lt_train.npz --data.test places_lt_test.npz

Not run yet. The field starts from a ResNet-152 trained on the whole ImageNet and trains
only its last stage and the head. So here: the stem and the three stages before stay as
they are, batch norm included, and cost no gradient, no momentum and no posterior.
The weights, with torchvision installed:

    python -c "import torchvision, safetensors.torch as s; s.save_file(
        torchvision.models.resnet152(weights='IMAGENET1K_V1').state_dict(),
        'resnet152.safetensors')"

The images are those of the published list (Places365-Standard, small, 256 x 256), cut
to 224 x 224 in two `.npz` files of 9.4 and 5.5 GB. From a CSV of the list they can be
streamed with random resized crops: `--data.source csv --data.path LIST.csv --data.train
None --data.test None --data.size 224 --data.stream True --augment.crop-area 0.08`.

Expected, accuracy in % from the literature: MiSLAS 40.4 (ECE 0.034), SADE 40.9, SHIKE
41.9; of SRepr no figure is known.

Recipe: 30 epochs at a rate of 0.01 are ours and not tuned.

Memory, by arithmetic: images 9.4 GB and 5.5 GB; trained weights, momentum, both moments
and 20 deviations 15,712,621 x 24 floats = 1.5 GB (it would be 5.7 GB if all trained),
other weights 43 M floats = 0.2 GB; one bank of features of 11 members 5.6 GB, of the
test images 3.3 GB. On disk 1.5 GB per checkpoint, two kept per backbone. Time: not
measured.
"""

from ltjax.config import (
    Augment,
    Classifier,
    Config,
    Data,
    Posterior,
    ResNet,
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
        pretrained="resnet152.safetensors",
        trained=("layer4", "head"),
        dtype="bfloat16",
    ),
    optim=Sgd(lr=0.01, epochs=30, warmup_epochs=1, batch_size=256, weight_decay=5e-4),
    swa=Swa(lr=0.002, rank=20),
    posterior=Posterior(samples=10, batch_size=256),
    classifier=Classifier(
        epochs=10,
        batch_size=256,
        views=1,
        srepr=Srepr(alpha=0.5, temperature=2.0),
    ),
)
