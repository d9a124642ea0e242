"""Which network a file of weights is of: recognised by the names of its tensors.

A layout tells what pixels its weights were trained with, and what of a file would fit.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

# Mean and deviation of the pixels, per channel, that weights were trained with.
IMAGENET = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
LITE = np.full(3, 127 / 255), np.full(3, 128 / 255)


class Layout(NamedTuple):
    """Names that a release has for its tensors."""

    title: str  # in words
    telltale: str  # a name that no other release has
    moments: tuple  # see above
    fits: Callable  # (shapes) -> the flags of the network that they are of, or None


def of(tensors):
    """The `Layout` of {name: ...}, or None."""
    for layout in LAYOUTS:
        if layout.telltale in tensors:
            return layout
    return None


def fitting(shapes, wanted):
    """What a `Mistake` adds about the network that tensors are of, if it is another.

    Both are {name: shape}, of a file and of the network that it should be of.
    """
    layout = of(shapes)
    flags = layout and layout.fits(shapes)
    if not flags or flags == layout.fits(wanted):
        return ""
    return f"; it holds {layout.title}, which fits --model {flags}"


def _count(names, prefix):
    """How many numbers follow a prefix, from 0 on without a gap."""
    numbers = {
        name.removeprefix(prefix).partition(".")[0]
        for name in names
        if name.startswith(prefix)
    }
    count = 0
    while str(count) in numbers:
        count += 1
    return count


# Blocks of the four stages, and the shape [out, in] of the first one's 3 x 3
# convolution.
_RESNETS = {
    (1, 1, 1, 1, 64, 64): "resnet10",
    (3, 4, 6, 3, 64, 64): "resnet50",
    (3, 4, 23, 3, 64, 64): "resnet101",
    (3, 8, 36, 3, 64, 64): "resnet152",
    (3, 4, 6, 3, 128, 4): "resnext50",
    (3, 4, 23, 3, 128, 4): "resnext101",
}


def _torchvision(shapes):
    depths = tuple(_count(shapes, f"layer{stage}.") for stage in range(1, 5))
    bottleneck = "layer1.0.conv3.weight" in shapes
    if "layer1.0.conv2.weight" not in shapes or bottleneck == (depths == (1,) * 4):
        return None
    return _RESNETS.get((*depths, *shapes["layer1.0.conv2.weight"][:2]))


# Blocks, and channels of the first and the last one.
_LITES = ((16, 16, 320), (21, 16, 320), (21, 16, 352))


def _lite(shapes):
    blocks = _count(shapes, "_blocks.")
    ends = [shapes.get(f"_blocks.{at}._project_conv.weight") for at in (0, blocks - 1)]
    key = blocks, *(end and end[0] for end in ends)
    if key not in _LITES:
        return None
    return f"efficientnet_lite --model.number {_LITES.index(key)}"


def _metaformer(shapes):
    blocks = tuple(_count(shapes, f"stage_{stage}.") for stage in range(1, 5))
    sizes = {(2, 3, 5, 2, 384): 0, (2, 6, 14, 2, 384): 1, (2, 6, 14, 2, 512): 2}
    dim = shapes.get("cls_token_1", (0,))[-1]
    size = sizes.get((*blocks, dim))
    return None if size is None else f"metaformer --model.size {size}"


LAYOUTS = (
    Layout("a MetaFormer", "cls_token_1", IMAGENET, _metaformer),
    Layout("an EfficientNet-Lite", "_conv_stem.weight", LITE, _lite),
    Layout("a ResNet of torchvision", "layer1.0.conv1.weight", IMAGENET, _torchvision),
)
