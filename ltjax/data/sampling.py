"""Which example is in which batch: pure functions of a key, rows first, pixels last.

The caller derives the key from seed and epoch, so a resumed run sees the same batches.
Sampling rules: Kang et al., ICLR 2020 (arXiv:1910.09217). `count`, `batch_size` and
`steps` are Python integers; all else may be traced.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from ltjax.data.longtail import class_counts
from ltjax.mistake import Mistake


@struct.dataclass
class ClassIndex:
    """The rows of a data set sorted by class."""

    rows: jax.Array  # [N], class after class
    starts: jax.Array  # [C], where each class begins in `rows`
    counts: jax.Array  # [C]


def class_index(labels, classes):
    """Sorts the rows by class, once per data set, with NumPy."""
    counts = class_counts(labels, classes)
    rows = np.argsort(labels, kind="stable")
    starts = np.cumsum(counts) - counts
    return ClassIndex(*(x.astype(np.int32) for x in (rows, starts, counts)))


def steps(count, batch_size, drop_last=True):
    """Batches in one epoch: floor(count / batch_size), ceil if the last is kept."""
    if batch_size < 1:
        raise Mistake(f"batch size is {batch_size}, wanted 1 or more")
    if count < 1 or (drop_last and count < batch_size):
        raise Mistake(f"batch size {batch_size} is more than the {count} images")
    return count // batch_size if drop_last else -(-count // batch_size)


def neighbours(count, batch_size):
    """Rows [count] of which the strides are neighbours: b, b + n, ... a run of rows.

    Of n = ceil(count / batch_size) strides, whose sizes differ by one at most.

    >>> from ltjax.data.sampling import neighbours
    >>> neighbours(5, 3)[0::2], neighbours(5, 3)[1::2]
    (array([0, 1, 2]), array([3, 4]))
    """
    number = steps(count, batch_size, drop_last=False)
    rows = np.empty(count, np.int64)
    for stride, run in enumerate(np.array_split(np.arange(count), number)):
        rows[stride::number] = run
    return rows


def instance_balanced(key, count, batch_size, drop_last=True):
    """One epoch of a fresh permutation, int32 [steps, B]: every row at most once.

    With `drop_last=False` every row occurs, and the last batch is completed with the
    first rows of the same permutation.
    """
    epoch = steps(count, batch_size, drop_last)
    order = jax.random.permutation(key, jnp.arange(count, dtype=jnp.int32))
    slots = np.arange(epoch * batch_size) % count
    return order[slots].reshape(epoch, batch_size)


def repeated(key, count, batch_size, drop_last=True, times=3):
    """As `instance_balanced`, each row of the permutation `times` one after the other.

    Repeated augmentation (Hoffer et al., CVPR 2020), as DeiT has it: an epoch has as
    many steps as without, so that it sees a third of the images; a batch has several
    views of each.
    """
    epoch = steps(count, batch_size, drop_last)
    order = jax.random.permutation(key, jnp.arange(count, dtype=jnp.int32))
    slots = np.arange(epoch * batch_size) // times
    return order[slots % count].reshape(epoch, batch_size)


def sampled(key, index, probabilities, steps, batch_size):
    """Batches drawn with replacement, int32 [steps, B]: a class, then one of its rows.

    `probabilities` [C] need not sum to one; classes without rows are never drawn.
    Probabilities below 2^-31 count as 0.
    """
    class_key, row_key = jax.random.split(key)
    shape = (steps, batch_size)
    present = jnp.where(jnp.asarray(index.counts) > 0, probabilities, 0.0)
    # Integer widths: their running sum is exact, so an absent class has width zero and
    # nothing lies beyond the end. A float32 running sum promises neither.
    widths = jnp.rint(present / present.sum() * 2.0**30).astype(jnp.int32)
    ends = jnp.cumsum(widths)
    points = jax.random.randint(class_key, shape, 0, ends[-1])
    classes = jnp.searchsorted(ends, points, side="right")
    counts = jnp.asarray(index.counts)[classes]
    offsets = jax.random.randint(row_key, shape, 0, counts)
    return jnp.asarray(index.rows)[jnp.asarray(index.starts)[classes] + offsets]


def power(counts, q):
    """Class probabilities p_j = n_j^q / sum_k n_k^q, [C]; 0 for an absent class.

    q = 1 is instance-balanced, q = 0 class-balanced, q = 1/2 square-root sampling.
    """
    counts = jnp.asarray(counts)
    share = counts / counts.max()  # no overflow for any q >= 0
    weights = jnp.where(counts > 0, share**q, 0.0)
    return weights / weights.sum()


def progressive(counts, progress):
    """Progressively balanced probabilities, [C]; `progress` runs from 0 to 1.

    p(t) = (1 - t) * power(counts, 1) + t * power(counts, 0).
    """
    return (1 - progress) * power(counts, 1) + progress * power(counts, 0)


def batches(rule, index, batch_size, epochs, drop_last=True):
    """Builds `rows(key, epoch) -> int32 [steps, B]` for the `ClassIndex` given.

    `rule` is "instance" (a permutation), "repeated" (see there), "class", "square_root"
    or "progressive" (from instance to class over the epochs); the last three draw with
    replacement. All have as many steps as "instance". The same key and epoch give the
    same rows.
    """
    count = len(index.rows)
    number = steps(count, batch_size, drop_last)

    def permuted(key, epoch):
        return instance_balanced(key, count, batch_size, drop_last)

    def drawn(probabilities):
        return lambda key, epoch: sampled(
            key, index, probabilities(epoch), number, batch_size
        )

    match rule:
        case "instance":
            return permuted
        case "repeated":
            return lambda key, epoch: repeated(key, count, batch_size, drop_last)
        case "class":
            return drawn(lambda epoch: power(index.counts, 0))
        case "square_root":
            return drawn(lambda epoch: power(index.counts, 0.5))
        case "progressive":
            last = max(epochs - 1, 1)
            return drawn(lambda epoch: progressive(index.counts, epoch / last))
    raise ValueError(
        f"rule is {rule!r}, not 'instance', 'repeated', 'class', 'square_root' or "
        "'progressive'"
    )
