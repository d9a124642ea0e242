"""Inverse image frequency, IIF: a weight of each class that its rarity gives.

Alexandridis et al. 2022 (arXiv:2209.04861). With the share p of a class of the training
images, N in all, n of the class,

    rel     log((1 - p) / p)           raw     log(1 / p)
    smooth  log((N + 1) / (n + 1)) + 1
    normit  -Phi^-1(p)                 gombit  -log(-log(1 - p))

Added to the logits of a plainly trained classifier, raw is logit adjustment, and rel
nearly so: it takes out the odds of a class in place of its share.
"""

import jax
import jax.numpy as jnp

from ltjax.losses.adjusted import ABSENT, cross_entropy

_MOST = 1 - 2.0**-23  # share of a class that is not all, in float32


def inverse_image_frequency(counts, variant="rel"):
    """The weight of each class [C], 1e4 for one without examples.

    Raises `ValueError` for another variant than those above.

    >>> from ltjax.losses import inverse_image_frequency
    >>> inverse_image_frequency([75, 25, 0], "rel")
    Array([   -1.099,     1.099, 10000.   ], dtype=float32)
    """
    if variant not in VARIANTS:
        raise ValueError(f"variant is {variant!r}, not {' or '.join(VARIANTS)}")
    counts = jnp.asarray(counts, jnp.float32)
    present, total = counts > 0, counts.sum()
    some = jnp.where(present, counts, 1)
    found = VARIANTS[variant](jnp.minimum(some / total, _MOST), some, total)
    return jnp.where(present, found, -ABSENT)


def frequency_adjusted(logits, labels, counts, variant="rel", form="added"):
    """Cross entropy of logits less their class's weight, or times it.

    logits [..., C], labels [...], counts [C]. Predict with the logits as they are if
    the `form` is "added", the counterpart of adding the weight after a plain training;
    with logits times `inverse_image_frequency` if it is "multiplied", as the paper has
    it, where a class without examples has the logit 0. With equal counts the first is
    `cross_entropy`.

    >>> from ltjax.losses import frequency_adjusted
    >>> frequency_adjusted([[2.0, 0.0], [2.0, 0.0]], [0, 1], [90, 10], "raw")
    Array([0.015, 4.212], dtype=float32)
    """
    logits = jnp.asarray(logits, jnp.float32)
    weights = inverse_image_frequency(counts, variant)
    if form == "added":
        return cross_entropy(logits - jnp.broadcast_to(weights, logits.shape), labels)
    if form != "multiplied":
        raise ValueError(f"form is {form!r}, not 'added' or 'multiplied'")
    weights = jnp.where(jnp.asarray(counts) > 0, weights, 0)
    return cross_entropy(logits * jnp.broadcast_to(weights, logits.shape), labels)


# Of a share, a number of images, and that of all.
VARIANTS = {
    "rel": lambda share, count, total: jnp.log1p(-share) - jnp.log(share),
    "raw": lambda share, count, total: -jnp.log(share),
    "smooth": lambda share, count, total: jnp.log((total + 1) / (count + 1)) + 1,
    "normit": lambda share, count, total: -jax.scipy.special.ndtri(share),
    "gombit": lambda share, count, total: -jnp.log(-jnp.log1p(-share)),
}
