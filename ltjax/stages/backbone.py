"""The network of a config, its weights to begin with, and its learning rate."""

import jax.numpy as jnp

from ltjax.models import experts, pretrained, resnet
from ltjax.models.cifar_resnet import CifarResNet
from ltjax.models.convolution import HE_FAN_IN, HE_FAN_OUT
from ltjax.models.heads import Cosine, Linear, per_expert
from ltjax.models.network import Network
from ltjax.representation import schedule

_RESNETS = {
    "resnet10": resnet.resnet10,
    "resnet50": resnet.resnet50,
    "resnet101": resnet.resnet101,
    "resnet152": resnet.resnet152,
    "resnext50": resnet.resnext50,
    "resnext101": resnet.resnext101,
}


def whole(model):
    """The whole feature extractor of a model config, frozen parts included."""
    dtype = jnp.dtype(model.dtype)
    if model.name == "cifar_resnet":
        return CifarResNet(
            model.depth,
            model.width,
            dtype,
            projection=model.shortcut == "B",
            kernel_init=HE_FAN_IN if model.init == "fan_in" else HE_FAN_OUT,
        )
    return _RESNETS[model.name](dtype=dtype)


def network(model, classes):
    """The network to train: `features` and `head`, logits [B, classes].

    Of E experts they are [B, E, classes]. Its features lack the frozen parts, whose
    outputs are its inputs.
    """
    features, chosen = whole(model), model.experts
    if model.frozen:
        features = features.copy(first=model.frozen)
    head, settings = Linear, (classes,)
    if model.head == "cosine":
        head, settings = Cosine, (classes, model.scale)
    if chosen.count is not None:
        widths = (chosen.width or features.width,) * chosen.count
        features = experts.branched(features, chosen.branch, widths, chosen.fused)
        head = per_expert(head)
    return Network(features=features, head=head(*settings))


def start(model, channels):
    """The weights that a model config begins with, for images of so many channels."""
    if model.pretrained is None:
        return pretrained.none()
    return pretrained.read(model.pretrained, whole(model), model.frozen, channels)


def rate(optim, steps):
    """The rate of the SGD backbone; the SWA backbone's is always that of SWA."""
    warmup = optim.warmup_epochs
    match optim.schedule:
        case "cosine":
            return schedule.to_zero(optim.lr, optim.epochs * steps, warmup * steps)
        case "steps":
            of_epoch = schedule.in_steps(
                optim.lr, optim.milestones, optim.factor, warmup
            )
        case "cosine_by_epoch":
            of_epoch = schedule.to_zero_from(
                optim.start_lr, optim.lr, optim.epochs, warmup
            )
    return schedule.by_epoch(of_epoch, steps)
