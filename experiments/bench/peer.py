"""The same network, training, SWAG and scores in plain PyTorch, to compare with.

Images are uint8 [B, H, W, channels] tensors, as ltjax takes them.
"""

import jax
import numpy as np
import torch
from torch import nn
from torch.nn import functional

_NAMES = {
    "kernel": "weight",
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
}


class Block(nn.Module):
    """Basic block with the option-A shortcut: `ltjax.models.cifar_resnet.Block`."""

    def __init__(self, inputs, channels, stride):
        """Random weights, as all modules here; see `load`."""
        super().__init__()
        self.stride, self.new = stride, channels - inputs
        self.conv1 = nn.Conv2d(inputs, channels, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)

    def forward(self, x):
        """Activations [B, inputs, H, W] to [B, channels, H', W']."""
        y = functional.relu(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        if self.new:
            before = self.new // 2
            x = x[:, :, :: self.stride, :: self.stride]
            x = functional.pad(x, (0, 0, 0, 0, before, self.new - before))
        return functional.relu(x + y)


class Features(nn.Module):
    """Feature extractor of a CIFAR ResNet; it scales the pixels itself."""

    def __init__(self, depth, width, mean, std):
        """`mean`, `std` per channel of pixels in 0..1; depth is 6n + 2."""
        super().__init__()
        for name, values in (("mean", mean), ("std", std)):
            values = torch.tensor(values, dtype=torch.float32).view(1, -1, 1, 1)
            self.register_buffer(name, values)
        self.conv = nn.Conv2d(len(mean), width, 3, 1, 1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        inputs, self.names = width, []
        for stage in range(3):
            for block in range((depth - 2) // 6):
                outputs, stride = width * 2**stage, 2 if stage and not block else 1
                self.names.append(f"stage{stage + 1}_block{block + 1}")
                self.add_module(self.names[-1], Block(inputs, outputs, stride))
                inputs = outputs

    def forward(self, images):
        """Images, uint8 [B, H, W, channels], to features [B, 4 width]."""
        # A permuted [B, H, W, C] tensor is channels-last without a copy.
        x = (images.permute(0, 3, 1, 2).float() / 255 - self.mean) / self.std
        x = functional.relu(self.norm(self.conv(x)))
        for name in self.names:
            x = getattr(self, name)(x)
        return x.mean((2, 3))


class Network(nn.Module):
    """Logits of a CIFAR ResNet with a linear head."""

    def __init__(self, depth, width, classes, mean, std):
        """As `Features`."""
        super().__init__()
        self.features = Features(depth, width, mean, std)
        self.head = nn.Linear(4 * width, classes)

    def forward(self, images):
        """Images, uint8 [B, H, W, channels], to logits [B, classes]."""
        return self.head(self.features(images))


@torch.no_grad()
def load(network, variables):
    """Copies the variables of ltjax's network of the same size; returns the network."""
    for tree in (variables["params"], variables["batch_stats"]):
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
            *module, name = (entry.key for entry in path)
            value = torch.tensor(np.asarray(leaf))
            if name == "kernel":
                value = value.T if value.ndim == 2 else value.permute(3, 2, 0, 1)
            module = network.get_submodule(".".join(module))
            getattr(module, _NAMES[name]).copy_(value)
    return network


def sgd(parameters, lr, momentum, weight_decay):
    """SGD as `ltjax.representation.schedule.sgd`, in one call for all tensors."""
    return torch.optim.SGD(
        parameters,
        lr,
        momentum=momentum,
        weight_decay=weight_decay,
        nesterov=True,
        fused=True,
    )


def train_step(model, optimiser, inputs, labels, shift=None):
    """One update on the cross entropy of `model(inputs) + shift`; returns the loss."""
    logits = model(inputs)
    loss = functional.cross_entropy(logits if shift is None else logits + shift, labels)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()
    return loss.detach()


class Swag:
    """SWAG as it is commonly written: running means of w and w^2, last deviations."""

    def __init__(self, parameters, rank):
        """The present parameters are read by `update`, overwritten by `sample`."""
        self.parameters = list(parameters)
        self.sizes = [parameter.numel() for parameter in self.parameters]
        self.count = 0
        self.mean = torch.zeros(sum(self.sizes))
        self.square = torch.zeros(sum(self.sizes))
        self.deviations = torch.zeros(rank, sum(self.sizes))

    @torch.no_grad()
    def update(self):
        """Folds the present parameters into the moments."""
        flat = torch.cat([parameter.reshape(-1) for parameter in self.parameters])
        self.mean.lerp_(flat, 1 / (self.count + 1))
        self.square.lerp_(flat * flat, 1 / (self.count + 1))
        torch.sub(
            flat, self.mean, out=self.deviations[self.count % len(self.deviations)]
        )
        self.count += 1

    @torch.no_grad()
    def sample(self):
        """Overwrites the parameters with a draw at scale 1."""
        rank = len(self.deviations)
        variance = (self.square - self.mean**2).clamp(min=1e-30)
        shift = variance.sqrt() * torch.randn_like(self.mean)
        shift += torch.randn(rank) @ self.deviations / (rank - 1) ** 0.5
        flat = self.mean + shift / 2**0.5
        for parameter, part in zip(self.parameters, flat.split(self.sizes)):
            parameter.copy_(part.view_as(parameter))


@torch.no_grad()
def scores(logits, labels, bins=15):
    """Accuracy per class [C], and the means of NLL, Brier score and ECE."""
    classes = logits.shape[1]
    log_probs = functional.log_softmax(logits, 1)
    probs = log_probs.exp()
    confidence, top = probs.max(1)
    hit = (top == labels).float()
    bin_of = (confidence * bins).ceil().long().clamp(1, bins) - 1
    gap = torch.bincount(bin_of, hit - confidence, bins)
    count = torch.bincount(labels, minlength=classes)
    return {
        "per_class": torch.bincount(labels, hit, classes) / count,
        "all": hit.mean(),
        "nll": functional.nll_loss(log_probs, labels),
        "brier": (probs - functional.one_hot(labels, classes)).square().sum(1).mean(),
        "ece": gap.abs().sum() / len(labels),
    }
