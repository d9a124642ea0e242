"""The one exception that means: the user can put this right."""

import difflib
import sys

from ltjax import shortage


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


def exit_code(work, name="ltjax"):
    """Calls `work()`; the exit code of a command line of that name.

    0, or 2 after a `Mistake` or where the memory is used up, told in one line, or 130
    after Ctrl-C.
    """
    try:
        work()
    except Mistake as mistake:
        print(f"{name}: {mistake}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{name}: stopped", file=sys.stderr)
        return 130
    except (RuntimeError, MemoryError) as error:
        line = shortage.told(error)
        if line is None:
            raise
        print(f"{name}: {line}", file=sys.stderr)
        return 2
    return 0
