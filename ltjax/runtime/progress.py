"""How far a run is: bars on a terminal, plain lines elsewhere."""

import contextlib
import time

from rich import progress
from rich.table import Column
from rich.text import Text

# Plain output goes to files and pipes, where a line now and then is enough.
_SECONDS_BETWEEN_LINES = 20

# A processor that draws does not train.
_DRAWN_PER_SECOND = 4


@contextlib.contextmanager
def stage(console, label, total, done=0):
    """A context that yields `advance(text="", to=None)`.

    It is called after each of `total`, or when `to` of them, a fraction too, are done.
    `done` of them were finished by an earlier process.
    """
    show = _bar if console.is_interactive else _lines
    with show(console, label, Pace(total, done)) as advance:
        yield advance


class Pace:
    """How much of something is done, for how long, and how long the rest will take."""

    def __init__(self, total, done=0):
        """`done` of `total` were finished before."""
        self.total, self.done = total, done
        self._begin = self._last = time.monotonic()
        self._marks = [(self._begin, done)]

    def reach(self, done):
        """So much is done by now."""
        self.done, self._last = done, time.monotonic()
        if len(self._marks) < 2:
            self._marks.append((self._last, done))

    def seconds(self):
        """How long it has taken so far."""
        return time.monotonic() - self._begin

    def left(self):
        """Seconds to the end; None where nobody knows."""
        # What came first had to be compiled, and tells only until there is more.
        since, before = next(
            (mark for mark in self._marks[::-1] if mark[1] < self.done), (0, self.done)
        )
        if before == self.done:
            return None
        rest = (self._last - since) / (self.done - before) * (self.total - self.done)
        return max(0.0, rest - (time.monotonic() - self._last))


@contextlib.contextmanager
def _bar(console, label, pace):
    words, widest = "", len(f"{pace.total}/{pace.total}")
    columns = (
        progress.TextColumn(f"{label:<12}"),
        progress.BarColumn(bar_width=10, table_column=Column(no_wrap=True)),
        _Words(
            lambda: f"{int(pace.done)}/{pace.total}", width=max(7, widest), right=True
        ),
        _Words(lambda: _time(pace), width=11),
        # The one that gives way where there is no room.
        _Words(lambda: words),
    )
    with progress.Progress(
        *columns, console=console, refresh_per_second=_DRAWN_PER_SECOND
    ) as bars:
        task = bars.add_task(label, total=pace.total, completed=pace.done)

        def advance(text="", to=None):
            nonlocal words
            words = text
            pace.reach(pace.done + 1 if to is None else to)
            bars.update(task, completed=pace.done)

        yield advance


class _Words(progress.ProgressColumn):
    """Text that may change, on one line; a width is kept whatever the others need."""

    def __init__(self, text, width=None, right=False):
        kept = {"width": width, "no_wrap": True} if width else {}
        justify = "right" if right else "left"
        super().__init__(table_column=Column(justify=justify, **kept))
        self._text = text

    def render(self, task):
        return Text(self._text(), no_wrap=True, overflow="ellipsis")


@contextlib.contextmanager
def _lines(console, label, pace):
    last = time.monotonic()

    def advance(text="", to=None):
        nonlocal last
        pace.reach(pace.done + 1 if to is None else to)
        now = time.monotonic()
        if now - last > _SECONDS_BETWEEN_LINES or pace.done == pace.total:
            last = now
            done = f"{pace.done:.1f}".removesuffix(".0")
            parts = [f"{label}: {done}/{pace.total}", _clock(pace.seconds())]
            if pace.done < pace.total:
                parts.append(_time(pace))
            console.print(
                ", ".join(filter(None, (*parts, text))),
                soft_wrap=True,
                highlight=False,
                markup=False,
            )

    yield advance


def _time(pace):
    if pace.done == pace.total:
        return f"in {_clock(pace.seconds())}"
    left = pace.left()
    return _clock(pace.seconds()) if left is None else f"ETA {_clock(left)}"


def _clock(seconds):
    """63 s, 12:05, 1:12:05."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
