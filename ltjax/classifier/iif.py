"""IIF: stage one's classifier, raised by each class's rarity; nothing is trained.

Alexandridis et al. 2022 (arXiv:2209.04861), added to the logits as in the release of
APA's authors (arXiv:2407.08567); `losses.inverse` has the variants. "raw" is
LA post-hoc at tau = 1 but for a constant, the others are next to it.
"""

import jax.numpy as jnp

from ltjax.classifier import linear
from ltjax.classifier.method import Head
from ltjax.losses import inverse_image_frequency

TITLE = "IIF"
AFFINE = True
JOINT = DRAWS = False


def logits(head, features, counts, variant="rel"):
    """Logits [B, C] of features [B, D] plus the weights of classes, `counts` [C].

    A class without training images is lowered, as LA post-hoc does.
    """
    sign = jnp.where(jnp.asarray(counts) > 0, 1, -1)
    shift = sign * inverse_image_frequency(counts, variant)
    return linear.logits(head, features) + shift[None]


def power(plain, tau):
    """None: the odds of a class are no power of its share."""
    return None


def heads(given):
    """The head of stage one."""

    def raised(params, z):
        return logits(params, z, given.counts, given.settings.iif)

    return {"": Head(given.head, raised)}
