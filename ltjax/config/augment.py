"""What is done to images in training, as a record."""

import dataclasses
from typing import Annotated, Literal

from ltjax.config.data import FILES, check_owner, check_streamed
from ltjax.config.limits import BELOW_ONE, COUNT, FROM_ZERO, INT32, SHARE, within
from ltjax.mistake import Mistake


@dataclasses.dataclass(frozen=True, kw_only=True)
class Augment:
    """What is done to images in training."""

    pad: Annotated[int, FROM_ZERO, INT32] = 0
    """Random crops after padding by so many pixels on each side."""
    flip: bool = False
    """Random horizontal flips."""
    crop_area: Annotated[float | None, SHARE] = None
    """Random resized crops of at least this share of a streamed image: 0.08 for
    ImageNet. Tests then see the middle, 224 of 256 pixels."""
    rotate: Annotated[float, within(0, 180)] = 0.0
    """Random rotations by up to so many degrees."""
    policy: Literal["autoaugment", "randaugment", "randaugment_increasing"] | None = (
        None
    )
    """Random operations on colours and shapes: AutoAugment's for CIFAR, RandAugment, or
    timm's of increasing strength, with which DeiT is trained."""
    cutout: Annotated[int, FROM_ZERO, INT32] = 0
    """Blackens a random square of so many pixels a side."""
    zoom: Annotated[float | None, SHARE] = None
    """Random resized crops of images in memory, of at least this share."""
    zoom_size: Annotated[int | None, COUNT, INT32] = None
    """Pixels a side that these are brought to; None: those of the images."""
    erase: Annotated[float, within(0, 1)] = 0.0
    """Chance of noise in a random box; 0.25 for DeiT."""
    jitter: Annotated[float, BELOW_ONE] = 0.0
    """Random brightness, contrast and saturation of streamed images: up to so much
    more or less; 0.4 for ImageNet-LT."""

    meta_masking: Literal["linear", "constant", "none"] = "linear"
    """Metadata of some images are left out: of a share that falls to 0 over the epochs,
    of one that stays, or of none."""
    meta_share: Annotated[float, SHARE] = 1.0
    """That share of a batch, the first one of a linear masking. In stage two it is the
    mean over stage one."""
    meta_mixing: bool = True
    """Mix metadata as images and labels are; as released, they are not mixed."""

    def check(self, config):
        """Refuses what only streamed images get, and two ways of cropping."""
        for name in ("crop_area", "jitter"):
            value = getattr(self, name)
            if value:
                check_owner(f"augment.{name}", value, FILES, config.data)
                check_streamed(f"augment.{name}", value, config.data)
        ways = [name for name in ("pad", "crop_area", "zoom") if getattr(self, name)]
        if len(ways) > 1:
            told = (f"augment.{name} is {getattr(self, name)}" for name in ways[:2])
            raise Mistake(
                f"{' and '.join(told)}; images are cropped in one of these ways"
            )
        if self.zoom_size and not self.zoom:
            raise Mistake(
                f"augment.zoom_size is {self.zoom_size} without augment.zoom; give both"
            )

    def masking(self, task):
        """How often metadata are left out, of a `Task`: see `data.augment.masking`."""
        from ltjax.data.augment import masking

        how = self.meta_masking, self.meta_share, self.meta_mixing
        return masking.make(*how, task.steps, task.epochs)

    def make(self, streamed=False):
        """The views {name: view(key, images uint8) -> images uint8} of the device.

        "full" is all of it, "weak" lacks policy, squares and noise, "strong" the
        rotation, "contrast" is SimCLR's. `streamed` images come cropped and flipped.
        """
        from ltjax.data.augment import contrast
        from ltjax.data.augment.views import Boxes, augmentation

        crops, near = (self.pad, self.flip), Boxes(self.zoom, self.zoom_size)
        if streamed:
            crops, near = (0, False), Boxes()
        more = self.policy, self.cutout, near._replace(erase=self.erase)
        return {
            "full": augmentation(*crops, self.rotate, *more),
            "weak": augmentation(*crops, self.rotate, boxes=near),
            "strong": augmentation(*crops, 0, *more),
            "contrast": contrast.view,
        }
