"""LDAM with deferred class weights, as a record."""

import dataclasses
from typing import Annotated

from ltjax.config.limits import BELOW_ONE, FROM_ZERO, NOT_NEGATIVE
from ltjax.config.objective import Objective, check_cosine


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ldam(Objective):
    """LDAM-DRW (arXiv:1906.07413): margins, and in the last epochs class weights."""

    max_margin: Annotated[float, NOT_NEGATIVE] = 0.5
    """Margin of the rarest class, in cosines; 0.3 for ImageNet-LT."""
    reweight_epoch: Annotated[int | None, FROM_ZERO] = 160
    """Epochs before class weights; None: never."""
    beta: Annotated[float, BELOW_ONE] = 0.9999
    """Of the class weights: from 0, alike, to 1, inverse frequencies."""

    def check(self, config):
        """Refuses another head than cosines times 30."""
        check_cosine("Ldam", config)

    def make(self, task):
        """See `representation.objectives.margin.ldam`."""
        from ltjax.representation.objectives import margin

        return margin.ldam(task, self.max_margin, self.reweight_epoch, self.beta)


# A word of the command line, and the kind that it begins with.
KINDS = {"ldam": Ldam}
