"""DeiT-LT and DeiT as a record."""

import dataclasses
from typing import Annotated

from ltjax.config.kind import PLACE, told
from ltjax.config.lesson import Lesson
from ltjax.config.limits import BELOW_ONE, FROM_ZERO, NOT_NEGATIVE, within
from ltjax.config.objective import Objective, check_even
from ltjax.mistake import Mistake


@dataclasses.dataclass(frozen=True, kw_only=True)
class DeitLt(Objective):
    """DeiT-LT (arXiv:2404.02900): labels for CLS, a teacher's answers for DIST."""

    teacher: Annotated[str | None, PLACE] = None
    """Folder of a finished run whose SGD network teaches, or a file of a released
    teacher, .safetensors or .npz."""
    alpha: Annotated[float, within(0, 1)] = 0.5
    """Share of the distillation in the loss."""
    reweight_epoch: Annotated[int | None, FROM_ZERO] = 1100
    """Epochs before the teacher's answers are weighted by class; None: never, which is
    DeiT."""
    beta: Annotated[float, BELOW_ONE] = 0.9999
    """Of the class weights: from 0, alike, to 1, inverse frequencies."""
    mixup: Annotated[float, NOT_NEGATIVE] = 0.8
    """Mix each image with another, by a share from Beta(mixup, mixup); 0: do not."""
    cutmix: Annotated[float, NOT_NEGATIVE] = 1.0
    """Put a box of another image into each; with mixup one of both in a batch."""
    smoothing: Annotated[float, BELOW_ONE] = 0.1
    """Share of each label that is spread over all classes."""
    mixed_late: bool = False
    """Mix and smooth after reweight_epoch, too; False as on CIFAR."""
    antialias: bool = False
    """Of mixed images that are brought to the teacher's size; as released they are
    not."""
    own_moments: bool = False
    """The teacher's pixels are scaled as in its own run; False, as released: as
    here."""

    @property
    def lesson(self):
        """One network in evaluation mode, of a run or of a file."""
        return Lesson(
            own_moments=self.own_moments,
            antialias=self.antialias,
            files=True,
            needed=True,
        )

    def check(self, config):
        """Refuses a network without two tokens, and an odd batch."""
        if told(config.model, "experts") != 2:
            raise Mistake(
                "objective is DeitLt, of a CLS and a DIST token, and the model has not "
                "two; give --model vit --model.tokens 2"
            )
        if self.mixup or self.cutmix:
            check_even(config)

    def make(self, task):
        """See `representation.objectives.tokens.deit_lt`."""
        from ltjax.data.augment import mixing
        from ltjax.representation.objectives import tokens

        classes = len(task.counts)
        mixed = tokens.Mixed(
            mix=mixing.make(self.mixup, self.cutmix),
            targets=lambda labels, lam: mixing.targets(
                labels, classes, lam, self.smoothing
            ),
            plain=lambda labels: mixing.targets(labels, classes, 1.0),
            late=self.mixed_late,
        )
        return tokens.deit_lt(task, mixed, self.alpha, self.reweight_epoch, self.beta)


# A word of the command line, and the kind that it begins with.
KINDS = {"deit_lt": DeitLt}
