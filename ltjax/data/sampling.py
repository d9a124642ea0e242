"""The named sampling rules of a training, as functions of key and epoch."""

from ltjax.data import order


def batches(rule, index, batch_size, epochs, drop_last=True):
    """Builds `rows(key, epoch) -> int32 [steps, B]` for the `order.ClassIndex` given.

    `rule` is "instance" (a permutation), "class", "square_root" or "progressive"
    (from instance to class over the epochs); the last three draw with replacement and
    have as many steps as "instance". The same key and epoch give the same rows.
    """
    count = len(index.rows)
    steps = order.steps(count, batch_size, drop_last)

    def rows(key, epoch):
        if rule == "instance":
            return order.instance_balanced(key, count, batch_size, drop_last)
        if rule == "class":
            probabilities = order.power(index.counts, 0)
        elif rule == "square_root":
            probabilities = order.power(index.counts, 0.5)
        elif rule == "progressive":
            probabilities = order.progressive(index.counts, epoch / max(epochs - 1, 1))
        else:
            raise ValueError(f"no sampling rule {rule!r}")
        return order.sampled(key, index, probabilities, steps, batch_size)

    return rows
