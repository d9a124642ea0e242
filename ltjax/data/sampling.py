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

    def permuted(key, epoch):
        return order.instance_balanced(key, count, batch_size, drop_last)

    def drawn(probabilities):
        return lambda key, epoch: order.sampled(
            key, index, probabilities(epoch), steps, batch_size
        )

    match rule:
        case "instance":
            return permuted
        case "class":
            return drawn(lambda epoch: order.power(index.counts, 0))
        case "square_root":
            return drawn(lambda epoch: order.power(index.counts, 0.5))
        case "progressive":
            last = max(epochs - 1, 1)
            return drawn(lambda epoch: order.progressive(index.counts, epoch / last))
    raise ValueError(
        f"rule is {rule!r}, not 'instance', 'class', 'square_root' or 'progressive'"
    )
