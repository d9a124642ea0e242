"""ImageNet-LT, 115,846 images of 1,000 classes (1,280 to 5), ResNet-50, 90 epochs.

    python -m ltjax.main --config configs/imagenet_lt.py --data.directory TFDS_FOLDER

Not run yet. TFDS prepares `imagenet_lt` from ImageNet's own archives, which have to be
fetched by hand. Its pictures are streamed: random resized crops to 224 pixels, flips
and colours on the host, in `data.workers` processes. Give as many as there are cores to
spare: each epoch's line tells the input's and the step's images a second.

Expected, accuracy in % (many / medium / few / all, NLL, ECE) from SRepr's own table:

    SGD            66.8 / 40.8 / 12.1 / 46.9   2.546   0.158
    SGD + cRT      62.8 / 46.9 / 26.3 / 50.3   2.364   0.110
    SGD + LA       60.8 / 48.1 / 33.2 / 51.0   2.231   0.063
    SWA            67.7 / 40.7 / 11.0 / 47.1   2.631   0.187
    SWA + LA       61.6 / 48.7 / 33.7 / 51.6   2.206   0.077
    SWA + SRepr    62.5 / 49.4 / 32.1 / 52.1   2.130   0.037

Recipe: the field's (90 epochs, batch 256, rate 0.1, cosine, weight decay 5e-4; stage
two 10 epochs); the SWA rate is ours and not tuned. For ResNeXt-50 give
`--model resnext50`.

Memory, by arithmetic: weights, momentum, both moments and 20 deviations 25,557,032 x 24
floats = 2.5 GB; the outputs of the convolutions of one step 256 x 11.1 M bfloat16 = 5.7
GB, of which two or three times as much is kept for the gradient; one bank of features
of 11 members 10.4 GB, of the test images 4.5 GB. On disk 2.5 GB per checkpoint, two
kept per backbone. Time: not measured.
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
        source="tfds:imagenet_lt",
        manifest="imagenet_lt",
        size=224,
        stream=True,
        workers=8,
    ),
    augment=Augment(crop_area=0.08, flip=True, jitter=0.4),
    model=ResNet(name="resnet50", dtype="bfloat16"),
    optim=Sgd(lr=0.1, epochs=90, warmup_epochs=5, batch_size=256, weight_decay=5e-4),
    swa=Swa(lr=0.02, rank=20),
    posterior=Posterior(samples=10, batch_size=256),
    classifier=Classifier(
        epochs=10,
        batch_size=256,
        views=1,
        srepr=Srepr(alpha=0.5, temperature=2.0),
    ),
)
