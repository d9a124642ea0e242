"""What is done with the parts of a network that do not train, as a record."""

import dataclasses
from typing import Annotated, Literal

from ltjax.config.kind import told
from ltjax.config.limits import COUNT, HUNDRED
from ltjax.mistake import Mistake


@dataclasses.dataclass(frozen=True, kw_only=True)
class Frozen:
    """The first parts of a network, in which nothing trains."""

    views: Annotated[int | None, COUNT, HUNDRED] = None
    """Augmented views of the training images whose outputs are worked out once and
    kept; a step draws one for each image. None: none is kept."""
    dtype: Literal["float32", "bfloat16"] = "bfloat16"
    """Type of the kept outputs."""

    def check(self, config):
        """Refuses to keep what there is none of, or what is looked at otherwise."""
        if self.views is None:
            return
        field = f"frozen.views is {self.views}"
        if not told(config.model, "trained"):
            raise Mistake(
                f"{field}, and everything trains; name what does by model.trained, "
                "such as head"
            )
        for name in ("mixup", "cutmix", "teacher"):
            value = getattr(config.objective, name, None)
            if value:
                raise Mistake(
                    f"{field}, and objective.{name} is {value!r}, which takes images; "
                    "outputs are kept of them as they are augmented"
                )
