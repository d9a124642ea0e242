"""A run as frozen records: one per stage, and one kind where there is a choice."""

from ltjax.config.activation import Activation, Aglu, Apa, Relu, Sigmoid
from ltjax.config.augment import Augment
from ltjax.config.classifier import Classifier, Method, Srepr
from ltjax.config.config import Checkpoint, Config
from ltjax.config.data import Data
from ltjax.config.gate import Cbam, Gate, Open, Se
from ltjax.config.head import Cosine, Head, Linear
from ltjax.config.join import Joined
from ltjax.config.metaformer import MetaFormer
from ltjax.config.model import CifarResNet, Experts, Model, ResNet
from ltjax.config.objective import CrossEntropy, Iif, Mdcs, Objective, Ride, Shike
from ltjax.config.optim import (
    CosineByEpoch,
    CosineDecay,
    Optim,
    Schedule,
    Sgd,
    StepDecay,
)
from ltjax.config.posterior import Posterior, Swa, swa_start

__all__ = [
    "Activation",
    "Aglu",
    "Apa",
    "Augment",
    "Cbam",
    "Checkpoint",
    "CifarResNet",
    "Classifier",
    "Config",
    "Cosine",
    "CosineByEpoch",
    "CosineDecay",
    "CrossEntropy",
    "Data",
    "Experts",
    "Gate",
    "Head",
    "Iif",
    "Joined",
    "Linear",
    "Mdcs",
    "MetaFormer",
    "Method",
    "Model",
    "Objective",
    "Open",
    "Optim",
    "Posterior",
    "Relu",
    "ResNet",
    "Ride",
    "Schedule",
    "Se",
    "Sgd",
    "Shike",
    "Sigmoid",
    "Srepr",
    "StepDecay",
    "Swa",
    "swa_start",
]
