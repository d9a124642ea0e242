"""Vision transformers as files have them, by timm's names; DeiT and DINO have them too.

A file has CLS's head and DIST's, `head` and `head_dist`; here they are one head with a
leading axis. Some files have positions of patches only: those of class tokens are zero
then.
"""

import re

import numpy as np

_LEAVES = {"kernel": "weight", "scale": "weight"}
_LAYERS = {"patch_embed": "patch_embed.proj"}
HEADS = "head", "head_dist"
# Of all heads; a network without one leaves them aside.
OF_HEADS = {f"{head}.{leaf}" for head in HEADS for leaf in ("weight", "bias")}


def fits(variables):
    """Whether variables of a `Network`, or their shapes, are of a transformer."""
    return "pos_embed" in variables.get("params", {}).get("features", {})


def of(path):
    """The names that a leaf may have there, of variables that are `parted`.

    `blocks.0.attn.qkv.weight` of the path params/features/blocks_0/attn/qkv/kernel.
    """
    _, part, *layers, leaf = (key.key for key in path)
    name = ".".join([part] if part in HEADS else layers)
    name = re.sub(r"^blocks_", "blocks.", _LAYERS.get(name, name))
    return (".".join(filter(None, [name, _LEAVES.get(leaf, leaf)])),)


def parted(variables, cut):
    """Variables with a head for each token, `cut(leaf, i)` of a leaf with all."""
    params = variables["params"]
    head = params.get("head", {})
    if not head or head["kernel"].ndim == 2:
        return variables
    heads = {
        name: {leaf: cut(array, i) for leaf, array in head.items()}
        for i, name in enumerate(HEADS[: head["kernel"].shape[0]])
    }
    return {**variables, "params": {**params, **heads}}


def joined(variables, like):
    """The inverse of `parted`, for variables of which `like` has the shapes."""
    params = dict(variables["params"])
    wanted = like["params"].get("head", {})
    if wanted and wanted["kernel"].ndim > 2:
        count = wanted["kernel"].shape[0]
        heads = [params.pop(name) for name in HEADS[:count]]
        stacked = {leaf: np.stack([head[leaf] for head in heads]) for leaf in wanted}
        params["head"] = stacked
    return {**variables, "params": params}


def fitted(tensors, like):
    """The tensors with positions of class tokens, zeros where a file has none."""
    table = tensors.get("pos_embed")
    wanted = like["params"]["features"]
    tokens = sum(name in wanted for name in ("cls_token", "dist_token"))
    length, dim = wanted["pos_embed"].shape[1:]
    if table is None or table.shape != (1, length - tokens, dim):
        return tensors
    own = np.zeros((1, tokens, dim), table.dtype)
    return {**tensors, "pos_embed": np.concatenate([own, table], 1)}
