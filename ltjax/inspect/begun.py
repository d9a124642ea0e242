"""A config to begin with where weights of ImageNet are at hand.

The recipe of `configs/pretrained.py`: the last block of an EfficientNet-Lite0 learns,
all before runs once for each view of an image.
"""

import dataclasses

from ltjax.config import (
    Augment,
    Classifier,
    Config,
    Cosine,
    EfficientNetLite,
    Frozen,
    LogitAdjusted,
    Posterior,
    Sgd,
    Srepr,
    Swa,
    adjusted,
    limits,
)

_FILES = ("folder", "csv")
_SIDES = (224, 192, 160, 128, 96)
# Pixels that its frozen parts may look at on a CPU: a quarter of an hour of two cores.
_BUDGET = 1.5e9
_VIEWS, _EPOCHS, _SNAPSHOTS = 3, 12, 20
_SMALL = 500  # images; of fewer the head alone learns


def at_hand():
    """Whether the package that brings the weights is installed."""
    from ltjax.models import pretrained

    return pretrained.installed(EfficientNetLite().package)


def fits(place):
    """Whether images from there are files, with nothing that is known beside them."""
    return place.source in _FILES and not place.meta


def propose(place, train, test, accelerator=False, size=None):
    """A `Config` for `train` images to train on, and `test` to test.

    `place` is the `Data` that says where they are. On a CPU the resolution is lowered
    until looking at all of them fits its budget; 96 pixels are the least.
    """
    looks = (1 + _VIEWS) * train + test
    afforded = (side for side in _SIDES if accelerator or looks * side**2 <= _BUDGET)
    side = size or next(afforded, _SIDES[-1])
    batch_size = 64
    while batch_size > 1 and train < 4 * batch_size:
        batch_size //= 2
    steps = -(-train // batch_size)
    collected = steps * (_EPOCHS - _EPOCHS // 2)
    trained = ("head",) if train < _SMALL else ("block15", "top", "head")
    config = Config(
        data=dataclasses.replace(place, size=side),
        augment=Augment(pad=side // 8, flip=True),
        model=EfficientNetLite(
            pixels=side,
            pretrained="auto",
            trained=trained,
            head=Cosine(scale=30.0, start="means"),
        ),
        frozen=Frozen(views=_VIEWS),
        objective=LogitAdjusted(),
        optim=Sgd(
            lr=0.03,
            epochs=_EPOCHS,
            warmup_epochs=1,
            batch_size=batch_size,
            drop_last=False,
        ),
        swa=Swa(
            start=_EPOCHS // 2, lr=0.01, every_steps=max(1, collected // _SNAPSHOTS)
        ),
        posterior=Posterior(samples=5, batch_size=256),
        classifier=Classifier(
            methods=adjusted.METHODS,
            lr=0.03,
            weight_decay=5e-3,
            epochs=10,
            batch_size=batch_size,
            views=2,
            srepr=Srepr(temperature=2.0),
        ),
    )
    limits.check(config)
    return config
