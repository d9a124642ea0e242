"""A MetaFormer as its release (dqshuai/MetaFormer) has it, by its names."""

import math
import re

import jax

from ltjax.models import relative

_LEAVES = {
    "kernel": "weight",
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
}
_WHOLE = {
    "stage0_conv1": "stage_0.0",
    "stage0_norm1": "stage_0.1",
    "stage0_conv2": "stage_0.3",
    "stage0_norm2": "stage_0.4",
    "stage0_conv3": "stage_0.6",
    "stage0_norm3": "bn1",
    "joint_norm1": "norm_1",
    "joint_mlp": "cl_1_fc.0",
    "joint_norm2": "cl_1_fc.1",
    "joint_norm3": "norm_2",
    "joint_aggregate": "aggregate",
    "joint_norm4": "norm",
}
_MOBILE = {
    "expand": "_expand_conv",
    "norm0": "_bn0",
    "depthwise": "_depthwise_conv",
    "norm1": "_bn1",
    "reduce": "_se_reduce",
    "excite": "_se_expand",
    "project": "_project_conv",
    "norm2": "_bn2",
}
_KNOWN = {
    "embed": "0",
    "norm": "2",
    "w1": "3.w1",
    "w2": "3.w2",
    "norm1": "3.norm_fn1",
    "norm2": "3.norm_fn2",
}
# Of the head; a network without one leaves it aside.
OF_HEADS = {"head.weight", "head.bias"}
_TABLE = "relative_position_bias_table"
# Of its state dict, what follows from shapes.
INDEX = "relative_position_index"


def fits(variables):
    """Whether variables of a `Network`, or their shapes, are of a MetaFormer."""
    return "stage3_token" in variables.get("params", {}).get("features", {})


def of(path):
    """The names that a leaf may have there.

    `stage_3.1.attn.qkv.weight` of the path params/features/stage3_1/attention/qkv.
    """
    _, part, *layers, leaf = (key.key for key in path)
    return (f"head.{_LEAVES[leaf]}" if part == "head" else _of_features(layers, leaf),)


def _of_features(layers, leaf):
    first, *rest = *layers, leaf
    if first in _WHOLE:
        return ".".join([_WHOLE[first], *rest[:-1], _LEAVES[leaf]])
    stage = re.fullmatch(r"stage([1-4])_(token|embed|meta(\d+)|\d+)", first)
    number, part, piece = int(stage[1]), stage[2], stage[3]
    if part == "token":
        return f"cls_token_{number - 2}"
    if part == "embed":
        return ".".join([f"stage_{number}.0.patch_embed", *rest[:-1], _LEAVES[leaf]])
    if piece:
        head = f"meta_{piece}_head_{number - 2}"
        return f"{head}.{_KNOWN[rest[0]]}.{_LEAVES[leaf]}"
    block = f"stage_{number}.{part}"
    if number < 3:
        return f"{block}.{_MOBILE[rest[0]]}.{_LEAVES[leaf]}"
    if rest[0] == "attention":
        inside = {"table": _TABLE, "qkv": "qkv.weight"}
        named = inside.get(rest[1]) or f"proj.{_LEAVES[leaf]}"
        return f"{block}.attn.{named}"
    return ".".join([block, *rest[:-1], _LEAVES[leaf]])


def fitted(tensors, like, corrected=False):
    """The tensors of a file as released, and the shapes that a network takes of them.

    `like` are those of the network's features. Tables of relative positions are resized
    for maps of other sizes, and moved for a network that is `corrected` (`relative`).
    What is there of metadata is left out of both where the file has other pieces of
    them than the network.
    """
    shapes = {
        of(path)[0]: tuple(reversed(leaf.shape))
        for path, leaf in jax.tree.leaves_with_path(like)
    }
    found = {}
    for name, tensor in tensors.items():
        rows, *_ = shapes.get(name, (0,))
        if name.endswith(_TABLE) and rows:
            tensor = relative.resized(tensor, (round(math.sqrt(rows - 1)) + 1) // 2)
            tensor = relative.corrected(tensor) if corrected else tensor
        found[name] = tensor
    theirs = {name: tensor.shape for name, tensor in tensors.items()}
    if _pieces(theirs) == _pieces(shapes):
        return found, like
    found = {name: found[name] for name in found if not name.startswith("meta_")}
    params = like["params"]["features"]
    params = {name: params[name] for name in params if "_meta" not in name}
    return found, {**like, "params": {"features": params}}


def _pieces(shapes):
    """The pieces of metadata in some tensors, and how wide each is."""
    return {
        name: tuple(shape)
        for name, shape in shapes.items()
        if re.fullmatch(r"meta_\d+_head_1\.0\.weight", name)
    }
