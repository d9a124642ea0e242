"""The page of a run at work, made anew as it goes on, to be left open beside it."""

import time

from ltjax.report import learning, markup, settings
from ltjax.workdir import events, identity
from ltjax.workdir.files import write_text

SECONDS = 30.0  # between two pages, and from one to the browser's next look


class Live:
    """Called with every event of the run in the folder `out`, it makes its page.

    At most every half a minute: a page costs a second of a processor. In the end the
    page of the finished run takes its place.
    """

    def __init__(self, out):
        """The first page is made half a minute from now at the earliest."""
        self._out, self._made = out, time.monotonic()

    def __call__(self, event):
        """Makes the page after an epoch, if it is time."""
        if event["event"] == "epoch" and time.monotonic() - self._made >= SECONDS:
            write_text(self._out / markup.FILE, page(self._out))
            self._made = time.monotonic()


def page(out):
    """The page of an unfinished run as HTML, of what its folder holds."""
    config = identity.config_of(out)
    found = events.epochs(out)
    name, told = list(found.items())[-1]
    last = told[-1]
    done = (
        f"{name.upper()}, epoch {last['epoch']} of {config.optim.epochs}: loss "
        f"{last['loss']:.3f}, {100 * last['accuracy']:.1f} % of the augmented training "
        "images right."
    )
    if "held_out" in last:
        right, nll = last["held_out"]["acc"]["all"], last["held_out"]["nll"]
        done += f" Of the images held out {right:.1f} % are right, NLL {nll:.3f}."
    return markup.paged(
        config.name or out.name,
        "at work; this page is made anew as it goes on",
        done,
        {
            "training": ("Training", learning.curves(found)),
            "made": ("How it is made", settings.of_config(config)),
        },
        refresh=SECONDS,
    )
