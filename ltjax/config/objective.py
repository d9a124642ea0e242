"""What stage one minimises, as records."""

import dataclasses
from typing import Annotated

from ltjax.config.classifier import Variant
from ltjax.config.head import Cosine
from ltjax.config.kind import PLACE, Kind, told
from ltjax.config.lesson import Lesson
from ltjax.config.limits import (
    BELOW_ONE,
    COUNT,
    FINITE,
    FROM_ZERO,
    NOT_NEGATIVE,
    SOME_FINITE,
)
from ltjax.mistake import Mistake


@dataclasses.dataclass(frozen=True, kw_only=True)
class Objective(Kind):
    """What stage one minimises."""

    wanted = (
        "make(task), which gives an ltjax.representation.objective.Objective of the "
        "views full, weak, strong or contrast"
    )
    plain = False  # whether it is the cross entropy of the labels, and no more
    labelled = True  # whether it learns from labels
    teacher = None  # the folder of a finished run whose SGD network is distilled
    lesson = None  # a `lesson.Lesson`: how it is asked


@dataclasses.dataclass(frozen=True, kw_only=True)
class CrossEntropy(Objective):
    """Cross entropy, of one network or, summed, of each expert."""

    mixup: Annotated[float, NOT_NEGATIVE] = 0.0
    """Mix each image with another, by a share from Beta(mixup, mixup); 0: do not."""
    cutmix: Annotated[float, NOT_NEGATIVE] = 0.0
    """Put a box of another image into each; with mixup one of both in a batch."""
    smoothing: Annotated[float, BELOW_ONE] = 0.0
    """Share of each label that is spread over all classes."""

    @property
    def plain(self):
        """Of mixed images classes have the shares that they have of all."""
        return self.smoothing == 0

    def check(self, config):
        """Refuses to mix an odd batch, whose middle image has no partner."""
        if self.mixup or self.cutmix:
            check_even(config)

    def make(self, task):
        """See `representation.objectives.plain`."""
        from ltjax.representation.objectives import plain

        if not (self.mixup or self.cutmix or self.smoothing):
            return plain.cross_entropy()
        from ltjax.data.augment import mixing

        mixed = self.mixup or self.cutmix
        return plain.soft_cross_entropy(
            mixing.make(self.mixup, self.cutmix) if mixed else None,
            lambda labels, lam: mixing.targets(
                labels, len(task.counts), lam, self.smoothing
            ),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Iif(Objective):
    """Cross entropy of logits less each class's inverse image frequency."""

    variant: Variant = "rel"
    """How it weighs a class."""

    def make(self, task):
        """See `representation.objectives.plain`."""
        from ltjax.representation.objectives import plain

        return plain.frequency_adjusted(task, self.variant)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ride(Objective):
    """RIDE (arXiv:2010.01809), of experts; the defaults are those of CIFAR-100-LT."""

    # Its release never puts the teacher into evaluation mode.
    lesson = Lesson(experts=True, training=True, own_moments=True)

    diversity: Annotated[float, FINITE] = -0.45
    """Weight of the divergence from the experts' mean; -0.2 for ImageNet-LT."""
    reweight_factor: Annotated[float, BELOW_ONE] = 0.05
    """How far the tail's temperature falls; 0.02 for ImageNet-LT."""
    reweight_epoch: Annotated[int | None, FROM_ZERO] = 160
    """Epochs before class weights and temperatures; None: never."""
    teacher: Annotated[str | None, PLACE] = None
    """Folder of a finished run of experts, whose SGD network is distilled too."""
    repeated: bool = True
    """Of a distilled loss: count it once for each expert, as released."""

    def check(self, config):
        """Refuses other networks than it is made for, and half a distillation."""
        _check_experts("Ride", config)
        check_cosine("Ride", config)
        if self.teacher is None and not self.repeated:
            raise Mistake(
                "objective.repeated is False without objective.teacher; only a "
                "distilled loss is repeated"
            )

    def make(self, task):
        """See `representation.objectives.experts.ride`."""
        from ltjax.representation.objectives import experts

        return experts.ride(
            task,
            diversity=self.diversity,
            reweight_factor=self.reweight_factor,
            reweight_epoch=self.reweight_epoch,
            repeated=self.repeated,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shike(Objective):
    """SHIKE (arXiv:2304.01279), of experts: the loss of its first stage."""

    detached: bool = False
    """Keep the gradient out of the teachers; as released it flows into them."""

    def check(self, config):
        """Refuses other networks than it is made for."""
        _check_experts("Shike", config)
        check_cosine("Shike", config)

    def make(self, task):
        """See `representation.objectives.experts.shike`."""
        from ltjax.representation.objectives import experts

        return experts.shike(detached=self.detached)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mdcs(Objective):
    """MDCS (arXiv:2308.09922): experts under several priors; a weak and a strong view
    of each image."""

    scales: Annotated[tuple[float, ...], SOME_FINITE] = (-0.5, 1.0, 2.5)
    """Strength of the log prior, for each expert."""
    consistency: Annotated[float, NOT_NEGATIVE] = 0.6
    """Weight of the distillation from the weak view to the strong one."""
    ramp_epochs: Annotated[int, COUNT] = 20
    """Epochs in which that weight grows."""

    def check(self, config):
        """Refuses other networks than it is made for."""
        _check_experts("Mdcs", config)
        if len(self.scales) != config.model.experts:
            raise Mistake(
                f"objective.scales is {self.scales!r}; it must have one number for "
                f"each of the {config.model.experts} experts of the model"
            )

    def make(self, task):
        """See `representation.objectives.experts.mdcs`."""
        from ltjax.representation.objectives import experts

        return experts.mdcs(
            task,
            scales=self.scales,
            consistency=self.consistency,
            ramp_epochs=self.ramp_epochs,
        )


# A word of the command line, and the kind that it begins with.
KINDS = {
    "cross_entropy": CrossEntropy,
    "iif": Iif,
    "ride": Ride,
    "shike": Shike,
    "mdcs": Mdcs,
}


def _check_experts(name, config):
    if told(config.model, "experts") is None:
        raise Mistake(
            f"objective is {name}, of several experts, and the model is an ordinary "
            "network; give --model experts"
        )


def check_even(config):
    """Refuses to mix an odd batch, whose middle image has no partner."""
    size = config.optim.batch_size
    if size % 2:
        raise Mistake(
            f"optim.batch_size is {size}; objective.mixup and objective.cutmix pair "
            "the images of a batch, it must be even"
        )


def check_cosine(name, config):
    """Refuses heads other than that whose constants an objective has."""
    head = told(config.model, "head")
    if head not in (None, Cosine(scale=30.0)):
        raise Mistake(
            f"objective is {name}, whose constants are those of the head "
            f"Cosine(scale=30.0); the model's is {head!r}"
        )
