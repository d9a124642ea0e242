"""Losses per example: pure, in float32, class axis last, reduced by the caller.

`deit_lt` alone is one number for a batch, as those of `losses.experts`.
"""

from ltjax.losses.adjusted import (
    balanced_softmax,
    cross_entropy,
    focal,
    log_prior,
    logit_adjusted,
    soft_cross_entropy,
)
from ltjax.losses.contrastive import paco
from ltjax.losses.distillation import (
    deit_lt,
    dirichlet_distillation,
    mean_distillation,
)
from ltjax.losses.inverse import frequency_adjusted, inverse_image_frequency
from ltjax.losses.margin import ldam
from ltjax.losses.weights import class_balanced_weights, generalized_weights

__all__ = [
    "balanced_softmax",
    "class_balanced_weights",
    "cross_entropy",
    "deit_lt",
    "dirichlet_distillation",
    "focal",
    "frequency_adjusted",
    "generalized_weights",
    "inverse_image_frequency",
    "ldam",
    "log_prior",
    "logit_adjusted",
    "mean_distillation",
    "paco",
    "soft_cross_entropy",
]
