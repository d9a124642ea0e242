"""Who is near whom: neighbours [N, k] and how similar they are, [N, k]."""

import jax
import jax.numpy as jnp
import numpy as np

from ltjax.mistake import Mistake

_BLOCK = 1024  # rows of the distances that are held at once


def nearest(features, count=20, width=2.0):
    """The `count` nearest of every image, itself left out, and their similarity.

    features [N, D]; int32 [N, count] and float32 [N, count], nearest first. Similar are
    exp(-|z_i - z_j|^2 / (2 width^2 D)), as SP2OT's release has it.
    """
    features = jnp.asarray(features, jnp.float32)
    images, dim = features.shape
    if not 1 <= count < images:
        raise Mistake(
            f"neighbours are {count} of {images} images; they must be 1 to {images - 1}"
        )
    norms, found = (features**2).sum(1), []
    for first in range(0, images, _BLOCK):
        rows = jnp.arange(first, min(first + _BLOCK, images))
        found.append(_of_rows(features, norms, rows, count))
    neighbours, squares = map(np.concatenate, zip(*found))
    return neighbours, np.exp(-squares / (2 * width**2 * dim))


def both_ways(neighbours, similarity, values):
    """(A + A^T) values, [N, K], of the sparse A whose rows the two [N, k] are."""
    there = jnp.einsum("nk,nkc->nc", similarity, values[neighbours])
    sent = similarity[..., None] * values[:, None]
    back = jax.ops.segment_sum(
        sent.reshape(-1, values.shape[1]), neighbours.reshape(-1), len(values)
    )
    return there + back


def check(neighbours, similarity, images):
    """Refuses a graph that is not one of `images`, or in which one names itself."""
    shapes = np.shape(neighbours), np.shape(similarity)
    if shapes[0] != shapes[1] or len(shapes[0]) != 2 or shapes[0][0] != images:
        raise Mistake(
            f"neighbours and similarity have shapes {shapes[0]} and {shapes[1]}; both "
            f"must be ({images}, k), a row for each image"
        )
    if any(isinstance(x, jax.core.Tracer) for x in (neighbours, similarity)):
        return
    neighbours, similarity = np.asarray(neighbours), np.asarray(similarity)
    if not np.isfinite(similarity).all():
        raise Mistake("similarity is not finite; every entry must be a number")
    outside = (neighbours < 0) | (neighbours >= images)
    if outside.any():
        raise Mistake(
            f"neighbours has {neighbours[outside][0]}; images are 0 to {images - 1}"
        )
    named = ((neighbours == np.arange(images)[:, None]) & (similarity != 0)).any(1)
    if named.any():
        raise Mistake(
            f"neighbours of image {named.argmax()} name itself; an image is no "
            "neighbour of its own"
        )


@jax.jit
def _squares(features, norms, rows):
    products = jnp.dot(features[rows], features.T, precision=jax.lax.Precision.HIGHEST)
    squares = jnp.maximum(norms[rows][:, None] + norms[None] - 2 * products, 0)
    return squares.at[jnp.arange(len(rows)), rows].set(jnp.inf)


def _of_rows(features, norms, rows, count):
    least, who = jax.lax.top_k(-_squares(features, norms, rows), count)
    return np.asarray(who, np.int32), np.asarray(-least)
