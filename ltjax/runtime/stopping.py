"""The exception that ends a run which was asked to stop, and who asks."""

import contextlib
import os
import signal
import threading
import time

# The exit code after --stop-after-minutes: that of sysexits.h for "try again".
TRY_AGAIN = 75
# Holds the process that begins several seeds: what it began ends with it.
PARENT = "LTJAX_PARENT"


class Stopped(Exception):
    """A run that stopped, with all it did saved: the same command goes on from there.

    `code` is the exit code, `where` says in words how far it is.
    """

    def __init__(self, code, where):
        """Takes both."""
        super().__init__(where)
        self.code, self.where = code, where


@contextlib.contextmanager
def asked_to_stop(minutes):
    """A context of `stopping()`: the exit code to stop with, or None.

    SIGTERM and SIGINT ask for it, the second one ends the process at once; so does the
    time, after so many minutes, and in a process that was begun by another, named in
    `PARENT` of its environment, the end of that one.
    """
    asked, begin, parent = [], time.monotonic(), os.environ.get(PARENT)

    def note(number, frame):
        for each, handler in before.items():
            signal.signal(each, handler)
        asked.append(128 + number)
        # Not printed, which may have been what was interrupted.
        name = signal.Signals(number).name
        line = f"ltjax: {name}, stopping; again to stop at once\n"
        # Of a terminal's line there may be a bar.
        os.write(2, ("\n" * os.isatty(2) + line).encode())

    def stopping():
        if parent and os.getppid() != int(parent):
            return 128 + signal.SIGTERM
        late = minutes is not None and time.monotonic() - begin >= 60 * minutes
        return asked[0] if asked else TRY_AGAIN if late else None

    numbers = (signal.SIGTERM, signal.SIGINT)
    # Python lets the main thread only.
    if threading.current_thread() is not threading.main_thread():
        numbers = ()
    before = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        signal.signal(number, note)
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
