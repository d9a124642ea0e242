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
    show = _bar if console.is_terminal else _lines
    with show(console, label, total, done) as advance:
        yield advance


@contextlib.contextmanager
def _bar(console, label, total, done):
    columns = (
        progress.TextColumn(f"{label:<18}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeElapsedColumn(),
        progress.TextColumn("ETA"),
        progress.TimeRemainingColumn(),
        progress.TextColumn("{task.fields[text]}"),
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
            console.print(
                f"{label}: {done}/{total}, {now - begin:.0f} s, {left:.0f} s to go "
                f"{text}",
                soft_wrap=True,
                highlight=False,
            )

    yield advance
