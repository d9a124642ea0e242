"""What happens in a run: written as it happens, and read again."""

import json
import sys


class Writer:
    """Appends events to a file, one JSON object a line, flushed when `write` returns.

    Then `track(event)` gets a copy of it. A context that closes the file. NaN and
    infinity are refused with `ValueError`.
    """

    def __init__(self, path, track=None):
        """Opens the file, which need not exist, after what it holds."""
        self._track = track
        torn = path.exists() and path.read_bytes()[-1:] not in (b"", b"\n")
        self._file = path.open("a", encoding="utf-8")
        # A process that was killed may have left half a line.
        if torn:
            self._file.write("\n")

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._file.close()

    def write(self, event):
        """Appends one event, a dict ready for JSON."""
        line = json.dumps(event, allow_nan=False)
        self._file.write(line + "\n")
        self._file.flush()
        if self._track:
            self._track(json.loads(line))


def each_guarded(tracks):
    """One `guarded` tracker of several, {its name: track or None}."""
    known = [guarded(track, name) for name, track in tracks.items() if track]

    def tell(event):
        for each in known:
            each(event)

    return tell


def guarded(track, name="the tracker"):
    """`track(event)` for a run: its first failure is told, and it is not called again.

    Nothing that it raises ends the run, as `metrics.jsonl` has every event anyway.
    """
    failed = False

    def tell(event):
        nonlocal failed
        if failed:
            return
        try:
            track(event)
        except Exception as error:
            failed = True
            what = type(error).__name__
            print(
                f"ltjax: {name} failed ({what}: {error}) and gets no more events; "
                "the run goes on, and metrics.jsonl has them all",
                file=sys.stderr,
            )

    return tell


def events(path):
    """The events of `metrics.jsonl` so far; a line cut short by a kill is left out."""
    file = path / "metrics.jsonl"
    if not file.exists():
        return []
    found = []
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict):
            found.append(event)
    return found


def last_events(path):
    """The same; of one that a kill made be repeated the last, which led to what is."""
    names = ("event", "backbone", "epoch", "row", "name")
    last = {tuple(event.get(name) for name in names): event for event in events(path)}
    return list(last.values())


def epochs(path):
    """{backbone: the events of its epochs so far, in order}."""
    found = {}
    for event in last_events(path):
        if event.get("event") == "epoch":
            found.setdefault(event["backbone"], []).append(event)
    return {
        name: sorted(told, key=lambda event: event["epoch"])
        for name, told in found.items()
    }


def seconds_per_stage(path):
    """Seconds of each stage over all processes that worked on the run."""
    seconds = {}
    for event in last_events(path):
        if "stage" in event and isinstance(event.get("seconds"), int | float):
            stage = event["stage"]
            seconds[stage] = seconds.get(stage, 0.0) + event["seconds"]
    return seconds
