"""A run as frozen records: one per stage, and one kind where there is a choice."""

from ltjax.config.activation import (
    Activation,
    Aglu,
    Apa,
    Gelu,
    QuickGelu,
    Relu,
    Sigmoid,
    Usual,
)
from ltjax.config.adamw import AdamW, CosineThroughout
from ltjax.config.adapters import Adapters, AdaptFormer, Lora, NoAdapters
from ltjax.config.adjusted import LogitAdjusted
from ltjax.config.augment import Augment
from ltjax.config.classifier import Classifier, Method, Srepr
from ltjax.config.clusters import Given, P2ot, Several, Sp2ot
from ltjax.config.config import Checkpoint, Config
from ltjax.config.data import Data
from ltjax.config.deit_lt import DeitLt
from ltjax.config.efficientnet import EfficientNetLite
from ltjax.config.frozen import Frozen
from ltjax.config.gate import Cbam, Gate, Open, Se
from ltjax.config.head import Cosine, Head, Linear
from ltjax.config.join import Joined
from ltjax.config.ldam import Ldam
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
from ltjax.config.paco import Paco, Projected
from ltjax.config.posterior import Posterior, Swa, swa_start
from ltjax.config.sam import Sam
from ltjax.config.vit import Vit

__all__ = [
    "Activation",
    "AdamW",
    "AdaptFormer",
    "Adapters",
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
    "CosineThroughout",
    "CrossEntropy",
    "Data",
    "DeitLt",
    "EfficientNetLite",
    "Experts",
    "Frozen",
    "Gate",
    "Gelu",
    "Given",
    "Head",
    "Iif",
    "Joined",
    "Ldam",
    "Linear",
    "LogitAdjusted",
    "Lora",
    "Mdcs",
    "MetaFormer",
    "Method",
    "Model",
    "NoAdapters",
    "Objective",
    "Open",
    "Optim",
    "P2ot",
    "Paco",
    "Posterior",
    "Projected",
    "QuickGelu",
    "Relu",
    "ResNet",
    "Ride",
    "Sam",
    "Schedule",
    "Se",
    "Several",
    "Sgd",
    "Shike",
    "Sigmoid",
    "Sp2ot",
    "Srepr",
    "StepDecay",
    "Swa",
    "Usual",
    "Vit",
    "swa_start",
]
