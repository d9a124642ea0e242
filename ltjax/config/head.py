"""Classifiers of stage one as records."""

import dataclasses
from typing import Annotated, Literal

from ltjax.config.kind import Kind
from ltjax.config.limits import POSITIVE


@dataclasses.dataclass(frozen=True, kw_only=True)
class Head(Kind):
    """Classifier of stage one."""

    wanted = "make(classes), which gives a Linen module like those of models.heads"
    intercepts = False  # whether it has one for each class


@dataclasses.dataclass(frozen=True, kw_only=True)
class Linear(Head):
    """A linear classifier."""

    intercepts = True

    def make(self, classes):
        """The module of `models.heads`."""
        from ltjax.models import heads

        return heads.Linear(classes)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cosine(Head):
    """A classifier by the angle to a column of each class."""

    scale: Annotated[float, POSITIVE] = 30.0
    """Logits are so many times a cosine."""
    norm: Literal["unit", "squashed"] = "unit"
    """Features count with length 1, or with theirs over 1 more than it."""
    learnt: bool = False
    """Learn the scale; it begins as given."""
    start: Literal["random", "means"] = "random"
    """Columns begin anywhere, or at the means of their classes' features."""

    def make(self, classes):
        """The module of `models.heads`."""
        from ltjax.models import heads

        squashed = self.norm == "squashed"
        means = self.start == "means"
        return heads.Cosine(classes, self.scale, squashed, self.learnt, means)


# A word of the command line, and the kind that it begins with.
KINDS = {"linear": Linear, "cosine": Cosine}
