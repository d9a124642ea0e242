"""Who hears of a run besides its folder: a function of the user, or TensorBoard."""

import importlib.util
import io
import time

from rich.console import Console

from ltjax.mistake import Mistake
from ltjax.report.table import table
from ltjax.workdir import events
from ltjax.workdir.rows import Row

_FIGURES = ("nll", "ece", "brier")


class Board:
    """The events of the run in a folder as TensorBoard shows them, in `tensorboard`.

    The step of a point is its epoch. A process writes these files anew from
    `metrics.jsonl` when its first event comes, of repeated events the last. So they
    lack nothing and have nothing twice, wherever the run was killed, and whether or not
    earlier processes wrote any. A context that closes them.
    """

    def __init__(self, out):
        """Writes nothing yet: the folder may be another run's."""
        self._out, self._file = out, None

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self._file is not None:
            self._file.close()

    def __call__(self, event):
        """Adds an event that stands in `metrics.jsonl`."""
        if self._file is None:
            self._begin()
        else:
            self._add(event)
        self._file.flush()

    def conclude(self, results):
        """Adds the rows of a finished run, as a table and as points at step 0."""
        if self._file is None:
            self._begin()
        from tensorboardX import summary

        for row in results["rows"]:
            name = Row.of(row).key
            figures = {**row["acc"], **{figure: row[figure] for figure in _FIGURES}}
            for figure, value in figures.items():
                if value is not None:
                    self._point(f"test_{figure}/{name}", value, 0)
        console = Console(file=io.StringIO(), width=80)
        console.print(table(results))
        lines = console.file.getvalue().splitlines()
        # Indented, which is Markdown for text to be shown as it is.
        shown = "\n".join(f"    {line}" for line in lines)
        self._write(summary.text("results", shown), 0)
        self._file.flush()

    def _begin(self):
        from tensorboardX import event_file_writer
        from tensorboardX.proto import event_pb2

        place = self._out / "tensorboard"
        place.mkdir(exist_ok=True)
        for old in place.glob("events.out.tfevents.*"):
            old.unlink()
        # Not `SummaryWriter`, whose thread would wait forever on a full disk.
        self._file = event_file_writer.EventsWriter(str(place / "events"))
        # Has a TensorBoard that is open forget what it read from the files before.
        start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
        self._file.write_event(event_pb2.Event(step=0, session_log=start))
        for event in events.last_events(self._out):
            self._add(event)

    def _add(self, event):
        if event["event"] == "epoch":
            name, step = event["backbone"], event["epoch"]
            self._point(f"loss/{name}", event["loss"], step)
            self._point(f"accuracy/{name}", event["accuracy"], step)
            self._point(f"rate/{name}", event["lr"], step)
        elif event["event"] == "head_epoch":
            self._point(f"head_loss/{event['row']}", event["loss"], event["epoch"])

    def _point(self, tag, value, step):
        from tensorboardX import summary

        self._write(summary.scalar(tag, value), step)

    def _write(self, summary, step):
        from tensorboardX.proto import event_pb2

        event = event_pb2.Event(wall_time=time.time(), step=step, summary=summary)
        self._file.write_event(event)


def check_installed():
    """Raises `Mistake` where tensorboardX is missing."""
    if importlib.util.find_spec("tensorboardX") is None:
        raise Mistake(
            "--log tensorboard needs the package tensorboardX: "
            "pip install 'ltjax[tensorboard]'"
        )
