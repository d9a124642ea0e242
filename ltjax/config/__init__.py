"""A run as frozen records: one per stage, and one kind where there is a choice."""

from ltjax.config.augment import Augment
from ltjax.config.classifier import Classifier, Method, Srepr
from ltjax.config.config import Checkpoint, Config
from ltjax.config.data import Data
from ltjax.config.model import CifarResNet, Cosine, Experts, Head, Linear, Model, ResNet
from ltjax.config.objective import CrossEntropy, Mdcs, Objective, Ride, Shike
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
    "Augment",
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
    "Head",
    "Linear",
    "Mdcs",
    "Method",
    "Model",
    "Objective",
    "Optim",
    "Posterior",
    "ResNet",
    "Ride",
    "Schedule",
    "Sgd",
    "Shike",
    "Srepr",
    "StepDecay",
    "Swa",
    "swa_start",
]
