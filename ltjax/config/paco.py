"""PaCo, and the network that it is of, as records."""

import dataclasses
from typing import Annotated

from ltjax.config.around import Around
from ltjax.config.kind import told
from ltjax.config.limits import BELOW_ONE, COUNT, INT32, NOT_NEGATIVE, POSITIVE
from ltjax.config.objective import Objective
from ltjax.mistake import Mistake


@dataclasses.dataclass(frozen=True, kw_only=True)
class Projected(Around):
    """A network with a projection beside its head, which only training asks for."""

    dim: Annotated[int, COUNT, INT32] = 32
    """Length of what is compared; 128 for ImageNet."""

    @property
    def name(self):
        """The network's own."""
        return self.of.name

    def card(self):
        """What the network is; nobody meets the projection."""
        return self.of.card()

    def check(self, config):
        """Refuses experts, and weights to begin with."""
        for name in ("experts", "pretrained", "trained"):
            value = told(self.of, name)
            if value:
                raise Mistake(
                    f"model.of.{name} is {value}, and the model is Projected; it is of "
                    "an ordinary network that begins with new weights"
                )
        self.check_inner(config)

    def make(self, classes):
        """The network: in training logits [B, classes] and queries [B, dim]."""
        from ltjax.models import projected

        net = self.of.make(classes)
        return projected.Projected(
            features=net.features,
            head=net.head,
            takes=net.takes,
            projection=projected.Projection(self.dim),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Paco(Objective):
    """PaCo (arXiv:2107.12028): contrast with a queue; two views of each image."""

    alpha: Annotated[float, NOT_NEGATIVE] = 0.01
    """Weight of each other image of the label; 0.05 for ImageNet-LT."""
    beta: Annotated[float, POSITIVE] = 1.0
    """Weight of the label's centre."""
    gamma: Annotated[float, POSITIVE] = 1.0
    """Weight of other images in the sum over all."""
    temperature: Annotated[float, POSITIVE] = 0.05
    """What cosines of images are divided by; 0.2 for ImageNet-LT."""
    queue: Annotated[int, COUNT, INT32] = 1024
    """Keys that are remembered; 8192 for ImageNet-LT."""
    momentum: Annotated[float, BELOW_ONE] = 0.999
    """Of the moving mean of weights that makes keys."""

    def check(self, config):
        """Refuses a network without queries, and a queue shorter than a batch."""
        projected = isinstance(config.model, Projected)
        if not projected and told(config.model, "name"):
            raise Mistake(
                "objective is Paco, which compares projections, and the model has "
                "none; give --model projected"
            )
        if self.queue < config.optim.batch_size:
            raise Mistake(
                f"objective.queue is {self.queue}; it must be at least "
                f"optim.batch_size, which is {config.optim.batch_size}"
            )

    def make(self, task):
        """See `representation.objectives.contrast.paco`."""
        from ltjax.representation.objectives import contrast

        constants = contrast.Contrast(
            alpha=self.alpha,
            beta=self.beta,
            gamma=self.gamma,
            temperature=self.temperature,
            queue=self.queue,
            momentum=self.momentum,
        )
        return contrast.paco(task, constants, ("full", "contrast"))


# Words of the command line, and the kinds that they begin with.
MODELS = {"projected": Projected}
OBJECTIVES = {"paco": Paco}
