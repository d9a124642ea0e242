r"""iNaturalist 2018 with time and place: MetaFormer-0, -1, -2 at 224 and 384 pixels.

    python -m ltjax.main --config configs/inaturalist2018_metaformer.py \
        --data.path inaturalist2018.csv --model.pretrained RELEASED.pth
    python -m ltjax.main --config configs/inaturalist2018_metaformer.py:middle \
        --data.path inaturalist2018.csv --model.pretrained RELEASED.pth
    python -m ltjax.main --config configs/inaturalist2018_metaformer.py:large \
        --data.path inaturalist2018.csv --model.pretrained RELEASED.pth
    python -m ltjax.main --config configs/inaturalist2018_metaformer.py:small_384 \
        --data.path inaturalist2018.csv --model.pretrained RELEASED.pth
    python -m ltjax.main --config configs/inaturalist2018_metaformer.py:middle_384 \
        --data.path inaturalist2018.csv --model.pretrained RELEASED.pth
    python -m ltjax.main --config configs/inaturalist2018_metaformer.py:large_384 \
        --data.path inaturalist2018.csv --model.pretrained RELEASED.pth

Not run yet. Diao et al. 2022 (arXiv:2203.02751). No published set of TFDS has time and
place: the CSV has a row for each of the 437,513 training and 24,426 validation images,
with the columns path, label, split (train or test), latitude, longitude and date, from
the competition's own lists of images and of places. What is missing stays empty. The
weights are the release's, by its names; without the flag a run begins with none.
`:middle` is MetaFormer-1, `:large` MetaFormer-2; three see 384 pixels, to which tables
of positions are resized. `--model.meta` alone is the network without metadata.

Month and hour are a token, the place another. Of a batch a share is without both, all
in the first epoch, none at the end, as released, and every row is tested twice: with
what is known, and as if nothing were. Here otherwise than in the release: a place at 0
degrees is one; metadata are mixed as images and labels are
(`--augment.meta-mixing False`); tables of positions are not decayed; what extra tokens
read of them is a patch's, as released (`--model.corrected True` gives them their own);
pixels are normalised by ImageNet's moments where weights are read, else by their own.

Expected, accuracy in % as published, without and with metadata; no NLL and no ECE:

    MetaFormer-0, ImageNet-1k     79.5    85.4
    MetaFormer-1, ImageNet-1k     81.9    86.5
    MetaFormer-2, ImageNet-1k     82.6    86.8
    MetaFormer-2, ImageNet-21k    84.3    88.7

Recipe: the release's defaults, as its command for this set was never published; rates
are for batches of 256. The SWA rate is ours and not tuned. Five draws, for memory.

Memory, by arithmetic, of MetaFormer-0 with 8,142 classes: weights, gradient, both
moments of AdamW, mean, scatter and 20 deviations 37,191,313 x 26 floats = 3.9 GB; a
bank of features of five draws and the mean is 437,513 x 768 x 6 floats = 8.1 GB. Time:
not measured.
"""

from dataclasses import replace

from ltjax.config import (
    AdamW,
    Augment,
    Classifier,
    Config,
    CosineThroughout,
    CrossEntropy,
    Data,
    MetaFormer,
    Posterior,
    Srepr,
    Swa,
)

config = Config(
    data=Data(
        source="csv",
        path="inaturalist2018.csv",
        meta=("latitude", "longitude", "date"),
        size=224,
        stream=True,
        workers=8,
    ),
    augment=Augment(crop_area=0.08, flip=True),
    model=MetaFormer(size=0, image=224, dtype="bfloat16"),
    objective=CrossEntropy(mixup=0.8, cutmix=1.0, smoothing=0.1),
    optim=AdamW(
        lr=5e-5,
        epochs=300,
        warmup_epochs=20,
        batch_size=256,
        schedule=CosineThroughout(first_lr=2.5e-7, last_lr=5e-6),
    ),
    swa=Swa(start=270, lr=1e-5, rank=20),
    posterior=Posterior(samples=5, batch_size=256),
    # Features have the length of the root of 768, not that of a ResNet's.
    classifier=Classifier(
        methods=("ncm", "la_posthoc", "la", "srepr"),
        epochs=10,
        lr=0.01,
        batch_size=256,
        views=1,
        srepr=Srepr(alpha=0.5, temperature=2.0),
    ),
)
middle = replace(config, model=replace(config.model, size=1))
large = replace(config, model=replace(config.model, size=2))


def _at_384(config):
    return replace(
        config,
        data=replace(config.data, size=384),
        model=replace(config.model, image=384),
    )


small_384, middle_384, large_384 = map(_at_384, (config, middle, large))
