"""How a training went: its curves, epoch by epoch."""

from ltjax.report import diagrams, markup

_AVERAGED = " From the dotted line on, SWA averages the weights it passes."
_GROUPS = ("many", "medium", "few", "all")


def curves(epochs, start=None):
    """Figures of {backbone: events of its epochs}; `start` epochs before averaging."""
    yield markup.figure(
        "Means over each epoch's steps, before they are taken, on augmented images."
        + _AVERAGED * (start is not None),
        *(
            diagrams.learning(
                ylabel,
                {
                    name.upper(): [factor * event[what] for event in told]
                    for name, told in epochs.items()
                },
                start,
            )
            for ylabel, what, factor in (
                ("training loss", "loss", 1),
                ("training accuracy, %", "accuracy", 100),
            )
        ),
    )
    watched = {
        name: told
        for name, told in epochs.items()
        if all("held_out" in event for event in told)
    }
    if watched:
        yield markup.figure(
            "The same after each epoch on the images that are held out of training, by "
            "the classifier that is trained with the backbone; of groups of classes "
            "means over these.",
            *(
                diagrams.learning(
                    f"{name.upper()}, held out, %", _by_group(told), start
                )
                for name, told in watched.items()
            ),
        )


def _by_group(events):
    """{group: percent right after each epoch}, of the groups that have images."""
    every = {
        group: [event["held_out"]["acc"][group] for event in events]
        for group in _GROUPS
    }
    return {group: values for group, values in every.items() if None not in values}
