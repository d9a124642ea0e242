"""One update of the mean gradient of several batches."""

import optax


def over(tx, every):
    """`tx` of the mean gradient of `every` steps; between them weights stay.

    What an epoch's last steps leave goes on in the next one. A step that is not finite
    is not taken, so that it adds nothing.
    """
    if every == 1:
        return tx
    return optax.MultiSteps(tx, every).gradient_transformation()


def of_updates(rate, every):
    """The rate of an update, of that of a step: its first batch's."""
    return lambda update: rate(every * update)
