"""The loops of this package: over members, and over even batches of images."""

import jax
import jax.numpy as jnp

from ltjax.posterior import trees


def members(keys):
    """The length M of the leading axis that all leaves of `keys` share."""
    shapes = [jnp.shape(leaf) for leaf in jax.tree.leaves(keys)]
    lengths = {shape[0] if shape else None for shape in shapes}
    if len(lengths) != 1 or None in lengths:
        raise ValueError(f"keys have shapes {shapes}; they share no leading axis")
    (length,) = lengths
    if length < 1:
        raise ValueError("keys are empty; at least one member is needed")
    return length


def over_members(function, keys, chunk):
    """Stacks `function(key)` over the members, `chunk` of them at a time."""
    if chunk < 1:
        raise ValueError(f"chunk is {chunk}; at least 1 member is run at a time")
    # No batching at all for 1: a batched convolution over weights is a slower one.
    return jax.lax.map(
        function, trees.clone(keys), batch_size=chunk if chunk > 1 else None
    )


def spans(count, batch_size):
    """Cuts `count` images into ceil(count / batch_size) batches, sizes within one.

    Returns runs of equal batches (start, batches, size), the larger first, as
    `numpy.array_split` does.
    """
    if count < 1 or batch_size < 1:
        raise ValueError(
            f"{count} images in batches of {batch_size}; both must be at least 1"
        )
    batches = -(-count // batch_size)
    size, larger = divmod(count, batches)
    runs = [(0, larger, size + 1), (larger * (size + 1), batches - larger, size)]
    return [run for run in runs if run[1]]


def count(images):
    """The length N of the leading axis that all leaves of the images share."""
    lengths = {len(leaf) for leaf in jax.tree.leaves(images)}
    if len(lengths) != 1:
        raise ValueError(f"images have lengths {sorted(lengths)}; they share no axis")
    return lengths.pop()


def over_batches(function, images, batch_size):
    """`function(batch)` of the even batches, in index order.

    Images are an array or a tree of arrays with a common leading axis. Returns the
    outputs per run of equal batches [batches, ...].
    """
    outputs = []
    for start, batches, size in spans(count(images), batch_size):

        def body(_, index, start=start, size=size):
            # Sliced here, not reshaped before: a reshape would copy the whole set.
            first = start + index * size
            batch = jax.tree.map(
                lambda leaf: jax.lax.dynamic_slice_in_dim(leaf, first, size), images
            )
            return None, function(batch)

        outputs.append(jax.lax.scan(body, None, jnp.arange(batches))[1])
    return outputs


def across_batches(step, carry, images, batch_size):
    """Scans `step(carry, batch) -> carry` over as many batches, each from all over.

    Batch b of n holds the images b, b + n, b + 2n, ...
    """
    runs = spans(count(images), batch_size)
    number, first = sum(batches for _, batches, _ in runs), 0
    for _, batches, size in runs:
        # The larger ones come first here, too: they are those with a row in the rest.
        def body(carry, index, size=size):
            rows = index + number * jnp.arange(size)
            batch = jax.tree.map(lambda leaf: jnp.take(leaf, rows, axis=0), images)
            return step(carry, batch), None

        carry, _ = jax.lax.scan(body, carry, first + jnp.arange(batches))
        first += batches
    return carry
