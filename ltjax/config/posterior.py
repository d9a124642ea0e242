"""The SWA backbone, its Gaussian, and the draws from it, as records."""

import dataclasses
from typing import Annotated, Literal

from ltjax.config.kind import PLACE
from ltjax.config.limits import (
    COUNT,
    INT32,
    NOT_NEGATIVE,
    POSITIVE,
    SEVERAL,
    THOUSAND,
)
from ltjax.mistake import Mistake


@dataclasses.dataclass(frozen=True, kw_only=True)
class Swa:
    """Weight averaging of the SWA backbone, and its Gaussian."""

    start: int | None = None
    """Epochs before the constant rate and its snapshots; None: three in four."""
    lr: Annotated[float, POSITIVE] = 0.02
    """Constant learning rate from the start on."""
    every_steps: Annotated[int | None, COUNT, INT32] = None
    """Steps between snapshots; None: one at each epoch's end."""
    rank: Annotated[int, SEVERAL, INT32] = 20
    """Deviations kept for the low-rank part (K)."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Type of the deviations; mean and scatter are float32 either way."""
    place: Annotated[Literal["device", "sharded", "host"], PLACE] = "device"
    """Where the deviations lie: whole on every device, cut over the devices, or in the
    memory of the host."""

    def check(self, config):
        """Refuses a constant rate that would begin in the warm-up, or never."""
        start, optim = swa_start(config), config.optim
        if not optim.warmup_epochs < start < optim.epochs:
            raise Mistake(
                f"swa.start is {start}; it must lie between optim.warmup_epochs "
                f"({optim.warmup_epochs}) and optim.epochs ({optim.epochs})"
            )


def swa_start(config):
    """Epochs of the SWA backbone before its constant rate."""
    start = config.swa.start
    return 3 * config.optim.epochs // 4 if start is None else start


@dataclasses.dataclass(frozen=True, kw_only=True)
class Posterior:
    """Draws of the feature extractor and their batch-norm statistics."""

    samples: Annotated[int, COUNT, THOUSAND] = 10
    """Draws (M)."""
    scale: Annotated[float, NOT_NEGATIVE] = 1.0
    """Scale of the covariance; 1 is the SWAG paper's posterior."""
    chunk: Annotated[int, COUNT, THOUSAND] = 1
    """Draws evaluated at once; on CPU one is fastest."""
    batch_size: Annotated[int, COUNT, INT32] = 1000
    """Images per batch of the batch-norm pass, whose statistics depend on it a little,
    and at most of the features' pass."""
    images: Annotated[int | None, COUNT, INT32] = None
    """Training images of the batch-norm pass, evenly spaced; None: all."""
    augmented: bool = True
    """Augment the images of the batch-norm pass as in training; False: as they are."""
    order: Literal["strides", "neighbours"] = "strides"
    """Images of a batch of that pass: from all over the set, or side by side in it."""
