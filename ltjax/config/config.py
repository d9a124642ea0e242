"""A run as frozen records: one per stage.

Field docstrings are the help texts of the command line.
"""

import dataclasses
from typing import Annotated, Literal, get_args

from ltjax.config.augment import Augment
from ltjax.config.classifier import Classifier
from ltjax.config.data import Data
from ltjax.config.frozen import Frozen
from ltjax.config.kind import PLACE
from ltjax.config.limits import (
    COUNT,
    FOLDER,
    INT32,
    NOT_NEGATIVE,
    ONCE_EACH,
    SEED,
    SHORT,
)
from ltjax.config.model import CifarResNet, Model
from ltjax.config.objective import CrossEntropy, Objective
from ltjax.config.optim import Optim, Sgd
from ltjax.config.posterior import Posterior, Swa

Name = Literal["sgd", "swa"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """What is kept on disk; not part of what a run is."""

    keep: Annotated[int, COUNT, INT32] = 2
    """Newest checkpoints kept per backbone."""
    every_seconds: Annotated[float | None, NOT_NEGATIVE] = None
    """Seconds between checkpoints, within an epoch too. None: at epochs' ends, as often
    as 2 % of the time allows."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """One run: both backbones, every classifier, one table."""

    name: Annotated[str | None, FOLDER, SHORT] = None
    """Names the run's folder; None: as the config file."""
    seed: Annotated[int, SEED] = 0
    """Initial weights, order, augmentation, draws and heads; never the subset."""
    backbones: Annotated[tuple[Name, ...], ONCE_EACH, PLACE] = get_args(Name)
    """Which are trained in this sitting; the same command with the other one goes on in
    the folder, whose results then have both."""
    data: Data = Data()
    augment: Augment = Augment()
    model: Model = CifarResNet()
    frozen: Frozen = Frozen()
    objective: Objective = CrossEntropy()
    optim: Optim = Sgd()
    swa: Swa = Swa()
    posterior: Posterior = Posterior()
    classifier: Classifier = Classifier()
    checkpoint: Annotated[Checkpoint, PLACE] = Checkpoint()
