"""What is done to images on the device, and several views of each."""

import jax
import jax.numpy as jnp

from ltjax.data.augment import geometry, policies

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
