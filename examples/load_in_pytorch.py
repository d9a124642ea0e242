"""An export of ltjax in PyTorch, from uint8 pixels to logits. To be copied.

python -m ltjax.export RUN --to safetensors        (or --to npz)
model = load("RUN/export")
probabilities = model(torch.from_numpy(images)).softmax(-1)
"""

import json
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

RESNETS = {  # blocks of each stage, bottleneck, groups, channels of a group
    "resnet10": ((1, 1, 1, 1), False, 1, 64),
    "resnet50": ((3, 4, 6, 3), True, 1, 64),
    "resnet101": ((3, 4, 23, 3), True, 1, 64),
    "resnet152": ((3, 8, 36, 3), True, 1, 64),
    "resnext50": ((3, 4, 6, 3), True, 32, 4),
    "resnext101": ((3, 4, 23, 3), True, 32, 4),
}


class Block(nn.Module):
    """relu(shortcut(x) + residual(x)), of two convolutions or a bottleneck's three."""

    def __init__(self, before, after, inner, stride, bottleneck, groups, cifar):
        super().__init__()
        shapes = [(before, inner, 3, stride, 1), (inner, after, 3, 1, 1)]
        if bottleneck:
            middle = (inner, inner, 3, stride, groups)
            shapes = [(before, inner, 1, 1, 1), middle, (inner, after, 1, 1, 1)]
        for at, (a, b, size, step, cut) in enumerate(shapes, 1):
            conv = nn.Conv2d(a, b, size, step, size // 2, groups=cut, bias=False)
            self.add_module(f"conv{at}", conv)
            self.add_module(f"bn{at}", nn.BatchNorm2d(b))
        self.last, self.stride, self.new = len(shapes), stride, after - before
        self.downsample = None  # a CIFAR ResNet has zeros for new channels
        if not cifar and (stride > 1 or self.new):
            conv = nn.Conv2d(before, after, 1, stride, bias=False)
            self.downsample = nn.Sequential(conv, nn.BatchNorm2d(after))

    def forward(self, x):
        """Activations [N, C, H, W] to [N, after, H', W']."""
        y = x
        for at in range(1, self.last + 1):
            y = getattr(self, f"bn{at}")(getattr(self, f"conv{at}")(y))
            y = y.relu() if at < self.last else y
        if self.downsample is not None:
            return (y + self.downsample(x)).relu()
        x, half = x[:, :, :: self.stride, :: self.stride], self.new // 2
        return (y + functional.pad(x, (0, 0, 0, 0, half, self.new - half))).relu()


class ResNet(nn.Module):
    """A ResNet of torchvision's layout, or a CIFAR ResNet, with its normalisation."""

    def __init__(self, model, classes, mean, std):
        super().__init__()
        self.cifar = model["name"] == "cifar_resnet"
        if self.cifar:
            blocks, first = 3 * ((model["depth"] - 2) // 6,), model["width"]
            bottleneck, groups, width, stem = False, 1, 64, (3, 1, 1)
        else:
            blocks, bottleneck, groups, width = RESNETS[model["name"]]
            first, stem = 64, (7, 2, 3)
        self.conv1 = nn.Conv2d(len(mean), first, *stem, bias=False)
        self.bn1 = nn.BatchNorm2d(first)
        before = first
        for stage, count in enumerate(blocks):
            planes, made = first * 2**stage, []
            after = planes * (4 if bottleneck else 1)
            for at in range(count):
                inner, stride = (
                    planes * groups * width // 64,
                    2 if stage and not at else 1,
                )
                shape = (before, after, inner, stride, bottleneck, groups, self.cifar)
                made.append(Block(*shape))
                before = after
            self.add_module(f"layer{stage + 1}", nn.Sequential(*made))
        self.stages = len(blocks)
        self.fc = nn.Linear(before, classes)
        for name, values in (("mean", mean), ("std", std)):
            values = torch.tensor(values).reshape(-1, 1, 1)
            self.register_buffer(name, values, persistent=False)

    def forward(self, images):
        """Images uint8 [N, H, W, channels] to logits [N, classes]."""
        x = (images.permute(0, 3, 1, 2) / 255 - self.mean) / self.std
        x = self.bn1(self.conv1(x)).relu()
        x = x if self.cifar else functional.max_pool2d(x, 3, 2, 1)
        for stage in range(1, self.stages + 1):
            x = self.get_submodule(f"layer{stage}")(x)
        return self.fc(x.mean((2, 3)))


def load(folder):
    """The network of an export, ready to predict."""
    folder = Path(folder)
    about = json.loads((folder / "export.json").read_text(encoding="utf-8"))
    if "model.safetensors" in about["files"]:
        from safetensors.torch import load_file

        tensors = load_file(folder / "model.safetensors")
    else:
        import numpy as np

        arrays = np.load(folder / "model.npz", allow_pickle=False)
        names = [name for name in arrays.files if name != "metadata"]
        tensors = {name: torch.from_numpy(arrays[name]) for name in names}
    classes = len(about["classes"])
    model = ResNet(about["model"], classes, about["mean"], about["std"])
    model.load_state_dict(tensors)
    return model.eval()
