"""A model as this package calls it: its outputs, and its batch-norm statistics.

`apply` is a Linen module's, or two plain functions of any model's,

    evaluate(variables, x) -> outputs
    statistics(variables, x) -> updated "batch_stats", in training mode

where `variables` holds "params" and, but for the very first call, "batch_stats".
"""


def evaluate(apply):
    """`evaluate(variables, x)` of it."""
    return apply[0] if isinstance(apply, tuple) else apply


def statistics(apply):
    """`statistics(variables, x)` of it; {} of a model without batch norm."""
    if isinstance(apply, tuple):
        return apply[1]

    def updated(variables, x):
        _, changed = apply(variables, x, train=True, mutable=["batch_stats"])
        return changed.get("batch_stats", {})

    return updated
