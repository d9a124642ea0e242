"""What is done to images on the device: in stage one, and for stage two's views."""

import jax

from ltjax.data.augment import geometry, policies
from ltjax.mistake import Mistake

_GREY = 128  # what RandAugment's warps bring in


def augmentation(pad, flip, rotate=0, policy=None, cutout=0):
    """Builds `augment(key, images)`, uint8 to uint8.

    Random crops, flips, rotations by up to `rotate` degrees, operations of a `policy`
    ("autoaugment" or "randaugment") and squares of `cutout` pixels, in this order.
    """

    def apply(key, images):
        more = jax.random.clone(key)
        crop_key, flip_key = jax.random.split(key)
        if pad:
            images = geometry.crop(crop_key, images, pad)
        if flip:
            images = geometry.flip(flip_key, images)
        # Not split off above: without these, the first two are what they always were.
        rotate_key, policy_key, cutout_key = jax.random.split(
            jax.random.fold_in(more, 1), 3
        )
        if rotate:
            images = geometry.rotate(rotate_key, images, rotate)
        if policy == "autoaugment":
            images = policies.autoaugment(policy_key, images)
        if policy == "randaugment":
            images = policies.randaugment(policy_key, images, _GREY)
        if cutout:
            images = geometry.cutout(cutout_key, images, cutout)
        return images

    return apply


def of_config(config):
    """The views that an objective may ask for, {name: (key, images) -> images}.

    Weak ones are without policy and squares, strong ones without rotations. Images that
    are streamed come augmented.
    """
    data = config.data
    if data.stream:
        return dict.fromkeys(("full", "weak", "strong"), augmentation(0, False))
    policy, cutout = data.policy, data.cutout
    return {
        "full": augmentation(data.pad, data.flip, data.rotate, policy, cutout),
        "weak": augmentation(data.pad, data.flip, data.rotate),
        "strong": augmentation(data.pad, data.flip, policy=policy, cutout=cutout),
    }


def check(config, data):
    """Refuses what is done to images on the device where images are streamed."""
    if not data.train.streamed:
        return
    for name in ("rotate", "policy", "cutout"):
        value = getattr(config.data, name)
        if value:
            raise Mistake(
                f"data.{name} is {value!r}; it changes images that are held in memory, "
                "and these are streamed"
            )
    if config.optim.loss == "mdcs":
        raise Mistake(
            "optim.loss is 'mdcs', whose two views are made of images that are held in "
            "memory; these are streamed"
        )
