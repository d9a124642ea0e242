"""The one exception that means: the user can put this right."""

import difflib
import os


class Mistake(ValueError):
    """A user's mistake, told in one line.

    The message names the thing, what was found and what would be right. The command
    line prints it and exits with 2; every other exception is our own failure.
    """


def nearest(wanted, known, told=str):
    """What a `Mistake` adds for the known name nearest to the wanted one, if any is.

    `told(name)` is how it is written.
    """
    near = difflib.get_close_matches(wanted, known, n=1)
    return f"; did you mean {told(near[0])}?" if near else ""


def shown(name):
    """A name that may hold anything a file system allows, as one printable line."""
    text = os.fsencode(name).decode(errors="backslashreplace")
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
