"""What is done to images on the device, and several views of each."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from ltjax.data.augment import boxes as zooming
from ltjax.data.augment import geometry, policies

_GREY = 128  # what RandAugment's warps bring in
POLICIES = {
    "autoaugment": lambda key, images: policies.autoaugment(key, images),
    "randaugment": lambda key, images: policies.randaugment(key, images, _GREY),
    "randaugment_increasing": lambda key, images: policies.randaugment_increasing(
        key, images, _GREY
    ),
}


class Boxes(NamedTuple):
    """What is done to random boxes of images, see `data.augment.boxes`."""

    zoom: float | None = None  # least share of the image that is seen from close by
    size: int | None = None  # pixels a side that it is brought to
    erase: float = 0.0  # chance of noise in a box


_NO_BOXES = Boxes()


def augmentation(pad, flip, rotate=0, policy=None, cutout=0, boxes=_NO_BOXES):
    """Builds `augment(key, images)`, uint8 to uint8.

    Random crops or zooms, flips, rotations by up to `rotate` degrees, operations of a
    `policy` (of `POLICIES`), squares of `cutout` pixels and noise, in this order.
    """

    def apply(key, images):
        more = jax.random.clone(key)
        crop_key, flip_key = jax.random.split(key)
        if pad:
            images = geometry.crop(crop_key, images, pad)
        # Not split off above: without these, the first two are what they always were.
        more = jax.random.fold_in(more, 1)
        rotate_key, policy_key, cutout_key = jax.random.split(jax.random.clone(more), 3)
        if boxes.zoom:
            zoom_key = jax.random.fold_in(jax.random.clone(more), 3)
            images = zooming.zoom(zoom_key, images, boxes.zoom, boxes.size)
        if flip:
            images = geometry.flip(flip_key, images)
        if rotate:
            images = geometry.rotate(rotate_key, images, rotate)
        if policy:
            images = POLICIES[policy](policy_key, images)
        if cutout:
            images = geometry.cutout(cutout_key, images, cutout)
        if boxes.erase:
            erase_key = jax.random.fold_in(jax.random.clone(more), 4)
            images = zooming.erase(erase_key, images, boxes.erase)
        return images

    return apply


def joined(views):
    """Builds `view(key, images)`: the images as each of the views has them [V B, ...].

    Those of one lie together. A single view is that view.
    """
    if len(views) == 1:
        return views[0]

    def apply(key, images):
        keys = jax.random.split(key, len(views))
        return jnp.concatenate([view(k, images) for view, k in zip(views, keys)])

    return apply
