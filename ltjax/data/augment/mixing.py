"""Images and labels of two, mixed on the device: mixup and cutmix.

The partner of an image is that of the same place in the reversed batch. One share
`lam`, of the image itself, is drawn for a batch; its labels are mixed by `targets`.
"""

import jax
import jax.numpy as jnp


def targets(labels, classes, lam, smoothing=0.0):
    """The shares of the classes [B, C] in mixed images.

    labels int [B]; `lam` is a number, or one for each image [B]. `smoothing` is spread
    evenly over all classes. Rows sum to 1.

    >>> import numpy as np
    >>> from ltjax.data.augment import mixing
    >>> mixing.targets(np.array([0, 2]), 3, lam=0.75, smoothing=0.0)
    Array([[0.75, 0.  , 0.25],
           [0.25, 0.  , 0.75]], dtype=float32)
    """
    hot = jax.nn.one_hot(jnp.asarray(labels), classes)
    hot = (1 - smoothing) * hot + smoothing / classes
    lam = jnp.broadcast_to(jnp.asarray(lam, jnp.float32), hot.shape[:1])[:, None]
    return lam * hot + (1 - lam) * hot[::-1]


def mixup(images, lam):
    """lam x + (1 - lam) its partner's pixels; float32 [B, H, W, ch].

    Zhang et al. 2018 (arXiv:1710.09412).
    """
    images = jnp.asarray(images, jnp.float32)
    return lam * images + (1 - lam) * images[::-1]


def cutmix(key, images, lam):
    """The images with a box of their partner's, and the share [] that is their own.

    Yun et al. 2019 (arXiv:1905.04899): sqrt(1 - lam) of the height and of the width,
    around any pixel; what lies outside is cut off, and the share is that of the rest.
    """
    images = jnp.asarray(images, jnp.float32)
    height, width = images.shape[1:3]
    row_key, column_key = jax.random.split(key)
    side = jnp.sqrt(1 - lam)
    rows = _covered(row_key, height, side)
    columns = _covered(column_key, width, side)
    box = rows[:, None] & columns[None]
    mixed = jnp.where(box[None, :, :, None], images[::-1], images)
    return mixed, 1 - box.mean(dtype=jnp.float32)


def _covered(key, length, side):
    """Which of so many places [length] are within half a side of a random one."""
    half = jnp.floor(length * side).astype(jnp.int32) // 2
    gap = jnp.arange(length) - jax.random.randint(key, (), 0, length)
    return (gap >= -half) & (gap < half)


def make(mixup_alpha, cutmix_alpha):
    """Builds `mix(key, images [B, H, W, ch]) -> float32 images, lam`.

    Each alpha is that of a Beta(alpha, alpha) of which `lam` is drawn; 0 is without.
    Of both, one is chosen for a batch, with equal chances; without both nothing is
    mixed.
    """
    if not (mixup_alpha or cutmix_alpha):
        return lambda key, images: (jnp.asarray(images, jnp.float32), jnp.float32(1))

    def mix(key, images):
        choice_key, lam_key, box_key = jax.random.split(key, 3)
        boxed = jnp.asarray(mixup_alpha == 0)
        if mixup_alpha and cutmix_alpha:
            boxed = jax.random.bernoulli(choice_key)
        alpha = jnp.where(boxed, cutmix_alpha, mixup_alpha)
        lam = jax.random.beta(lam_key, alpha, alpha)
        if not cutmix_alpha:
            return mixup(images, lam), lam
        cut, own = cutmix(box_key, images, lam)
        if not mixup_alpha:
            return cut, own
        return jnp.where(boxed, cut, mixup(images, lam)), jnp.where(boxed, own, lam)

    return mix
