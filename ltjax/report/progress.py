"""How far a run is: bars on a terminal, plain lines elsewhere."""

import contextlib
import time

from rich import progress

# Plain output goes to files and pipes, where a line now and then is enough.
_SECONDS_BETWEEN_LINES = 20


@contextlib.contextmanager
def stage(console, label, total, done=0):
    """A context that yields `advance(text="")`, to be called after each of `total`.

    `done` of them were finished by an earlier process.
    """
    show = _bar if console.is_interactive else _lines
    with show(console, label, total, done) as advance:
        yield advance


@contextlib.contextmanager
def _bar(console, label, total, done):
    columns = (
        progress.TextColumn(f"{label:<12}"),
        progress.BarColumn(bar_width=16),
        progress.MofNCompleteColumn(),
        progress.TimeElapsedColumn(),
        progress.TextColumn("ETA"),
        progress.TimeRemainingColumn(),
        progress.TextColumn("{task.fields[text]}", markup=False),
    )
    with progress.Progress(*columns, console=console) as bars:
        task = bars.add_task(label, total=total, completed=done, text="")
        yield lambda text="": bars.update(task, advance=1, text=text)


@contextlib.contextmanager
def _lines(console, label, total, done):
    begin = last = time.monotonic()
    first = done

    def advance(text=""):
        nonlocal done, last
        done += 1
        now = time.monotonic()
        if now - last > _SECONDS_BETWEEN_LINES or done == total:
            last = now
            left = (now - begin) / (done - first) * (total - done)
            times = f"{now - begin:.0f} s, ETA {left:.0f} s"
            if done == total:
                times = f"{now - begin:.0f} s"
            console.print(
                ", ".join(filter(None, (f"{label}: {done}/{total}", times, text))),
                soft_wrap=True,
                highlight=False,
                markup=False,
            )

    yield advance
