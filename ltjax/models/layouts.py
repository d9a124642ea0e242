"""Which network a file of weights is of: recognised by the names of its tensors.

A layout tells what pixels its weights were trained with, and what of a file would fit.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

# Mean and deviation of the pixels, per channel, that weights were trained with.
IMAGENET = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
HALF = np.full(3, 0.5), np.full(3, 0.5)
CLIP = (
    np.array([0.48145466, 0.4578275, 0.40821073]),
    np.array([0.26862954, 0.26130258, 0.27577711]),
)
LITE = np.full(3, 127 / 255), np.full(3, 128 / 255)
MOMENTS = {"imagenet": IMAGENET, "half": HALF, "clip": CLIP}


class Layout(NamedTuple):
    """Names that a release has for its tensors."""

    title: str  # in words
    telltales: tuple  # patterns of names that no layout after this one has all of
    moments: tuple  # see above
    fits: Callable  # (shapes) -> the flags of the network that they are of, or None
    quick: bool = False  # whether its GELU may be x sigmoid(1.702 x)


def of(tensors):
    """The `Layout` of {name: ...}, or None."""
    for layout in LAYOUTS:
        patterns = map(re.compile, layout.telltales)
        if all(any(map(pattern.search, tensors)) for pattern in patterns):
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


# Blocks of the four stages, and the shape [out, in] of the second convolution.
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


_SIZES = {(192, 12): "tiny", (384, 12): "small", (768, 12): "base"}


def _transformer(shapes):
    """Of shapes under timm's names."""
    patch, table = shapes.get("patch_embed.proj.weight"), shapes.get("pos_embed")
    if len(patch or ()) != 4 or len(table or ()) != 3:
        return None
    dim, depth, tokens = patch[0], _count(shapes, "blocks."), 1 + _has(shapes, "dist_")
    flags = f"--model.dim {dim} --model.depth {depth} --model.heads {max(1, dim // 64)}"
    if (dim, depth) in _SIZES:
        flags = f"--model.size {_SIZES[dim, depth]}"
    sides = [(table[1] - own) ** 0.5 for own in (0, tokens)]
    sides = [round(side) for side in sides if side == round(side)]
    if not sides:
        return None
    found = [f"vit {flags} --model.patch {patch[-1]}"]
    found.append(f"--model.image {sides[0] * patch[-1]}")
    if tokens > 1:
        found.append("--model.tokens 2")
    if "reg_token" in shapes:
        found.append(f"--model.registers {shapes['reg_token'][1]}")
    if _has(shapes, "blocks.0.ls1."):
        found.append("--model.layer-scale True")
    if _has(shapes, "norm_pre."):
        found.append("--model.pre-norm True")
    return " ".join(found)


def _has(shapes, prefix):
    return any(name.startswith(prefix) for name in shapes)


def _with(title, moments, *telltales, quick=False):
    return Layout(title, telltales, moments, _transformer, quick)


def _metaformer(shapes):
    blocks = tuple(_count(shapes, f"stage_{stage}.") for stage in range(1, 5))
    sizes = {(2, 3, 5, 2, 384): 0, (2, 6, 14, 2, 384): 1, (2, 6, 14, 2, 512): 2}
    size = sizes.get((*blocks, shapes.get("cls_token_1", (0,))[-1]))
    return None if size is None else f"metaformer --model.size {size}"


# Those of transformers are of files, and of what `vit_layouts` makes of them.
LAYOUTS = (
    Layout("a MetaFormer", (r"^cls_token_1$",), IMAGENET, _metaformer),
    Layout("an EfficientNet-Lite", (r"^_conv_stem\.weight$",), LITE, _lite),
    Layout(
        "a ResNet of torchvision", (r"^layer1\.0\.conv1\.",), IMAGENET, _torchvision
    ),
    _with(
        "a CLIP of OpenAI or open_clip", CLIP, r"^visual\.class_embedding$", quick=True
    ),
    _with("a CLIP of Hugging Face", CLIP, r"^vision_model\.embeddings\.", quick=True),
    _with("a CLIP of timm", CLIP, r"^norm_pre\."),
    _with("a DINOv2 of Hugging Face", IMAGENET, r"layer_scale1\.lambda1$"),
    _with("a ViT of Hugging Face", HALF, r"embeddings\.patch_embeddings\.projection"),
    _with("a DINOv2 with registers", IMAGENET, r"^(register_tokens|reg_token)$"),
    _with("a DINOv2", IMAGENET, r"^mask_token$"),
    _with(
        "a DINOv2 of timm or a DeiT-III", IMAGENET, r"^blocks\.0\.(ls1\.gamma|gamma_1)$"
    ),
    _with("a distilled DeiT", IMAGENET, r"^dist_token$"),
    # timm's are of this kind, DeiT's are not: model.moments imagenet.
    _with("a ViT of timm", HALF, r"^blocks\.0\.attn\.qkv\.weight$", r"^head\.weight$"),
    _with("a DINO", IMAGENET, r"^blocks\.0\.attn\.qkv\.weight$"),
)
