"""iNaturalist 2018, 437,513 images of 8,142 species, ResNet-50, 90 epochs.

    python -m ltjax.main --config configs/inaturalist2018.py \
        --data.directory TFDS_FOLDER

Not run yet. TFDS prepares `i_naturalist2018` (about 120 GB to download). The pictures
are streamed: random resized crops to 224 pixels and flips on the host, in
`data.workers` processes; give as many as there are cores to spare. Tested is
`validation` (24,426 images, 3 of each species), as the labels of `test` were never
published. The manifest knows the totals, not the counts of each species.

Expected, accuracy in % from the literature, ResNet-50: MiSLAS 71.6 (ECE 0.077, 200
epochs), RIDE 71.2 to 72.6, SADE 72.9; of SRepr no figure is known for certain.

Recipe: the field's (90 epochs, batch 256, rate 0.1, cosine, weight decay 1e-4); the SWA
rate is ours and not tuned. Five draws instead of ten, for memory.

Memory, by arithmetic: weights, momentum, both moments and 20 deviations 40,190,990 x 24
floats = 3.9 GB; the outputs of the convolutions of one step 256 x 11.1 M bfloat16 = 5.7
GB, of which two or three times as much is kept for the gradient; one bank of features
of 6 members 21.5 GB, the plain ones 3.6 GB, of the test images 1.2 GB. On disk 3.9 GB
per checkpoint, two kept per backbone. Time: not measured.
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
        source="tfds:i_naturalist2018",
        manifest="inaturalist2018",
        size=224,
        stream=True,
        workers=8,
    ),
    augment=Augment(crop_area=0.08, flip=True),
    model=ResNet(name="resnet50", dtype="bfloat16"),
    optim=Sgd(lr=0.1, epochs=90, warmup_epochs=5, batch_size=256, weight_decay=1e-4),
    swa=Swa(lr=0.02, rank=20),
    posterior=Posterior(samples=5, batch_size=256),
    classifier=Classifier(
        epochs=10,
        batch_size=256,
        weight_decay=1e-4,
        views=1,
        srepr=Srepr(alpha=0.5, temperature=2.0),
    ),
)
