"""The logit-adjusted loss as a record."""

import dataclasses
from typing import Annotated

from ltjax.config.classifier import Classifier
from ltjax.config.limits import NOT_NEGATIVE
from ltjax.config.objective import Objective
from ltjax.mistake import Mistake

TWICE = ("la_posthoc", "iif")
METHODS = tuple(name for name in Classifier.methods if name not in TWICE)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LogitAdjusted(Objective):
    """Cross entropy of logits plus tau times the log share of their class."""

    tau: Annotated[float, NOT_NEGATIVE] = 1.0
    """Strength of the adjustment."""

    def check(self, config):
        """Refuses classifiers that would take the log prior off a second time."""
        twice = [name for name in config.classifier.methods if name in TWICE]
        if twice:
            raise Mistake(
                f"classifier.methods has {twice[0]!r}, which lowers frequent classes "
                "after the training, and objective LogitAdjusted has done so in it; "
                f"give --classifier.methods {' '.join(METHODS)}"
            )

    def make(self, task):
        """See `representation.objectives.plain`."""
        from ltjax.representation.objectives import plain

        return plain.logit_adjusted(task, self.tau)


# A word of the command line, and the kind that it begins with.
KINDS = {"logit_adjusted": LogitAdjusted}
