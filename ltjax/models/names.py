"""What the parts of a network are called in PyTorch's releases.

A ResNet is in torchvision's layout, a CIFAR ResNet has the same names but for numbers.
Gates and activations are called as by APA's authors (github.com/kostas1515/AGLU), who
call some of them otherwise in networks for small images than in those for large ones,
and the head of small ones `linear`; here it is `fc` unless the tensors say so. An
EfficientNet-Lite is called as in the package efficientnet-lite-pytorch.
"""

_LEAVES = {
    "kernel": "weight",
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
    "kappa": "kappa_param",
    "lam": "lambda_param",
}
# What layers of a CIFAR ResNet, gates and activations are called there.
_LAYERS = {
    "conv": "conv1",
    "norm": "bn1",
    "norm1": "bn1",
    "norm2": "bn2",
    "act": "unirect",
    "act1": "unirect1",
    "act2": "unirect2",
    "act3": "unirect3",
    "gate.norm": "se.norm",
    "gate.squeeze": "se.excitation.0",
    "gate.excite": "se.excitation.2",
    "gate.activation": "se.uniact",
    "gate.channels.norm": "cbam.ChannelGate.norm",
    "gate.channels.squeeze": "cbam.ChannelGate.mlp.1",
    "gate.channels.excite": "cbam.ChannelGate.mlp.3",
    "gate.channels.activation": "cbam.ChannelGate.uniact",
    "gate.places.conv": "cbam.SpatialGate.spatial.conv",
    "gate.places.norm": "cbam.SpatialGate.spatial.bn",
    "gate.places.activation": "cbam.SpatialGate.uniact",
}
# And those of an EfficientNet-Lite; within a block, and outside.
_LITE = {
    "stem.conv": "_conv_stem",
    "stem.norm": "_bn0",
    "top.conv": "_conv_head",
    "top.norm": "_bn1",
    "expand": "_expand_conv",
    "norm_expand": "_bn0",
    "depthwise": "_depthwise_conv",
    "norm_depthwise": "_bn1",
    "project": "_project_conv",
    "norm_project": "_bn2",
}
# What begins otherwise in blocks for small images.
_SMALL = {"se.uniact": "se.unact", "cbam": "cb"}
_HEADS = ("fc", "linear", "_fc")
# Of all heads; a network without one leaves them aside.
OF_HEADS = {f"{head}.{leaf}" for head in _HEADS for leaf in ("weight", "bias", "scale")}


def of(path):
    """The names that a leaf may have there, the usual one first.

    `layer1.0.conv1.weight` of the path params/features/layer1_0/conv1/kernel.
    """
    _, part, *layers, leaf = (key.key for key in path)
    if part == "head":  # whose scale is no weight
        named = leaf if leaf == "scale" else _LEAVES[leaf]
        return tuple(f"{head}.{named}" for head in _HEADS)
    if layers[0].startswith(("stem", "block", "top")):
        return (f"{_lite(layers)}.{_LEAVES[leaf]}",)
    if layers == ["act1"]:  # of the stem for large images
        return (f"relu.{_LEAVES[leaf]}",)
    block, inside = (layers[:1], layers[1:]) if _is_block(layers[0]) else ([], layers)
    name = ".".join(inside)
    name = _LAYERS.get(name, name.replace("_", "."))
    if block and block[0].startswith("stage"):
        for large, small in _SMALL.items():
            if name.startswith(large):
                name = small + name.removeprefix(large)
    return (".".join([*map(_block, block), name, _LEAVES[leaf]]),)


def _lite(layers):
    """`_blocks.3._bn0` of block3, norm_expand."""
    if not layers[0].startswith("block"):
        return _LITE[".".join(layers)]
    return f"_blocks.{layers[0].removeprefix('block')}.{_LITE[layers[1]]}"


def _is_block(name):
    return name.startswith(("stage", "layer"))


def _block(name):
    """`layer1.0` of layer1_0, and of stage1_block1."""
    if name.startswith("stage"):
        stage, block = name.removeprefix("stage").split("_block")
        return f"layer{stage}.{int(block) - 1}"
    return name.replace("_", ".")
