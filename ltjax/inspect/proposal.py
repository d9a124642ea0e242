"""A config to begin with, from what is known of the images."""

import dataclasses

import numpy as np

from ltjax.config import (
    Augment,
    CifarResNet,
    Classifier,
    Config,
    Posterior,
    Sgd,
    Srepr,
    Swa,
    limits,
)
from ltjax.data import partition

SMALL = 2000  # images; fewer are to be trained on within minutes on two cores
# Pixels that each backbone may look at on a CPU, over all its epochs: a minute of two
# cores for the small network, half an hour for the larger one.
_SMALL_BUDGET, _CPU_BUDGET = 6e7, 6e8
_SIZES = (64, 48, 32)
_SNAPSHOTS = 20
# Of the images to train on a tenth can be spared, to choose SRepr's alpha on, where
# these are so many, of half of the classes: fewer tell no alpha from another.
SHARE, ENOUGH = 0.1, 100


def propose(place, images, train, shorter_side, accelerator=False, size=None):
    """A `Config` for so many images, `train` of them to train on.

    `place` is the `Data` that says where they are; `shorter_side` the median one in
    pixels, to which no image is enlarged unless `size` asks for it. Images of an npz
    keep their size. On a CPU the epochs, and then the size, are lowered until the
    training fits its budget; at least 20 epochs are left.
    """
    small = images < SMALL
    fixed = shorter_side if place.source == "npz" else size
    # A multiple of 4 is halved twice without a rest.
    most = max(8, min(_SIZES[0], shorter_side // 4 * 4))
    sizes = [fixed] if fixed else [most, *(s for s in _SIZES if s < most)]
    longest = 60 if small or not accelerator else 200
    for side in sizes:
        budget = _SMALL_BUDGET if small else _CPU_BUDGET
        affordable = longest if accelerator else int(budget / (train * side**2))
        epochs = max(20, min(longest, affordable))
        if affordable >= 24:
            break
    batch_size = _batch_size(train, 32 if small else 128)
    steps = train // batch_size
    collected = epochs - 3 * epochs // 4
    resized = place.source != "npz"
    config = Config(
        data=dataclasses.replace(place, size=side if resized else None),
        augment=Augment(pad=max(1, side // 8), flip=resized),
        model=CifarResNet(depth=8 if small else 32 if accelerator else 20),
        optim=Sgd(epochs=epochs, batch_size=batch_size, warmup_epochs=epochs // 20),
        swa=Swa(lr=0.05, every_steps=max(1, steps * collected // _SNAPSHOTS)),
        # As many pixels in a batch as 1000 images of 32 pixels have.
        posterior=Posterior(batch_size=max(50, int(1e6 / side**2))),
        classifier=Classifier(
            epochs=50 if small else 20,
            batch_size=batch_size,
            views=2,
            srepr=Srepr(temperature=4.0 if small else 2.0),
        ),
    )
    limits.check(config)
    return config


def spared(counts):
    """Images of each class that can be held out of training, int [C]; 0 for too few.

    `counts` [C] are those to train on.
    """
    held = partition.spare(counts, SHARE)
    enough = held.sum() >= ENOUGH and 2 * (held > 0).sum() >= len(held)
    return held if enough else np.zeros_like(held)


def choosing(config):
    """The config with SRepr's alpha chosen on images that are held out."""
    srepr = dataclasses.replace(config.classifier.srepr, alpha="auto")
    return dataclasses.replace(
        config,
        data=dataclasses.replace(config.data, validation=SHARE),
        classifier=dataclasses.replace(config.classifier, srepr=srepr),
    )


def _batch_size(images, most):
    """The largest power of two that leaves four steps an epoch, in 1..most."""
    size = most
    while size > 1 and images < 4 * size:
        size //= 2
    return size


def text(config, lines):
    """A Python file that assigns `config`, only what is not a default spelled out.

    `lines` are those of its docstring.
    """
    stages = {
        field.name: getattr(config, field.name)
        for field in dataclasses.fields(config)
        if getattr(config, field.name) != field.default
    }
    kinds = sorted({"Config", *_kinds(config)})
    doc = "\n".join(line.replace("\\", "\\\\").replace('"', '\\"') for line in lines)
    body = "".join(f"    {name}={_call(stage)},\n" for name, stage in stages.items())
    line = f"from ltjax.config import {', '.join(kinds)}"
    if len(line) > 88:
        inside = "".join(f"    {kind},\n" for kind in kinds)
        line = f"from ltjax.config import (\n{inside})"
    return f'"""{doc}\n"""\n\n{line}\n\nconfig = Config(\n{body})\n'


def _changed(record):
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if value != field.default:
            yield field.name, value


def _kinds(record):
    for _, value in _changed(record):
        if dataclasses.is_dataclass(value):
            yield type(value).__name__
            yield from _kinds(value)


def _call(value, margin="    "):
    """A value as Python; a record on one line, or a line for each changed field."""
    if isinstance(value, tuple) and all(map(_plain, value)) and value:
        return f"({', '.join(map(_call, value))}{',' * (len(value) == 1)})"
    if not dataclasses.is_dataclass(value):
        return f'"{value}"' if _plain(value) else repr(value)
    inner = margin + "    "
    fields = [f"{name}={_call(field, inner)}" for name, field in _changed(value)]
    line = f"{type(value).__name__}({', '.join(fields)})"
    if len(line) <= 70 - len(margin) and "\n" not in line:
        return line
    lines = "".join(f"{inner}{field},\n" for field in fields)
    return f"{type(value).__name__}(\n{lines}{margin})"


def _plain(value):
    """Whether quotation marks around it make a Python literal of it."""
    simple = isinstance(value, str) and value.isprintable()
    return simple and not set(value) & set('"\\')
