"""The logit-adjusted loss as a record."""

import dataclasses
from typing import Annotated

from ltjax.config.limits import NOT_NEGATIVE
from ltjax.config.objective import Objective


@dataclasses.dataclass(frozen=True, kw_only=True)
class LogitAdjusted(Objective):
    """Cross entropy of logits plus tau times the log share of their class."""

    tau: Annotated[float, NOT_NEGATIVE] = 1.0
    """Strength of the adjustment."""

    def make(self, task):
        """See `representation.objectives.plain`."""
        from ltjax.representation.objectives import plain

        return plain.logit_adjusted(task, self.tau)


# A word of the command line, and the kind that it begins with.
KINDS = {"logit_adjusted": LogitAdjusted}
