"""Trackers: what they get, what their failures do, and TensorBoard's files."""

import json
import struct
from pathlib import Path

import pytest
from rich.console import Console

from ltjax import main, run
from ltjax.report import tensorboard
from ltjax.stages.classifier import Outcome
from ltjax.workdir import events
from ltjax.workdir.events import Writer

EPOCHS = [
    {
        **{"event": "epoch", "backbone": backbone, "epoch": epoch, "lr": 0.1 / epoch},
        **{"loss": 2.0 / epoch, "accuracy": epoch / 10, "stage": "representation"},
    }
    for backbone in ("sgd", "swa")
    for epoch in (1, 2, 3)
]
HEADS = [
    {"event": "head_epoch", "row": "swa-la", "epoch": epoch, "loss": 1.0 / epoch}
    for epoch in (1, 2)
]
OTHER = {"event": "save", "name": "sgd/1", "stage": "saving", "seconds": 0.5}
RESULTS = {
    "dataset": {"name": "digits", "train": 9, "counts": [5, 4]},
    "seed": 0,
    "rows": [
        {
            **{"backbone": "swa", "classifier": "la", "variant": "", "seconds": 1.0},
            **{"nll": 0.5, "ece": 0.25, "brier": 0.125},
            "acc": {"many": None, "medium": 75.0, "few": 50.0, "all": 62.5},
        }
    ],
}


def write(out, events):
    out.mkdir(exist_ok=True)
    with Writer(out / "metrics.jsonl") as writer:
        for event in events:
            writer.write(event)


def points(out):
    """[(tag, step, value)] of the scalars in the one event file, and its texts."""
    event_pb2 = pytest.importorskip("tensorboardX.proto.event_pb2")
    (path,) = (out / "tensorboard").iterdir()
    content, found, texts = path.read_bytes(), [], []
    while content:  # a record is its length, a sum of it, its bytes, a sum of them
        (length,) = struct.unpack("<Q", content[:8])
        event = event_pb2.Event.FromString(content[12 : 12 + length])
        for value in event.summary.value:
            if value.HasField("simple_value"):
                found.append((value.tag, event.step, value.simple_value))
            else:
                texts.append(value.tensor.string_val[0].decode())
        content = content[16 + length :]
    return found, texts


def wanted(events):
    for event in events:
        if event["event"] == "epoch":
            name, step = event["backbone"], event["epoch"]
            yield f"loss/{name}", step, event["loss"]
            yield f"accuracy/{name}", step, event["accuracy"]
            yield f"rate/{name}", step, event["lr"]
        if event["event"] == "head_epoch":
            yield f"head_loss/{event['row']}", event["epoch"], event["loss"]


def judge(found, events):
    found, expected = sorted(found), sorted(wanted(events))
    assert [place[:2] for place in found] == [place[:2] for place in expected]
    values = [place[2] for place in expected]
    assert [place[2] for place in found] == pytest.approx(values, rel=1e-6)  # float32


def test_a_board_has_what_came_before_it_and_what_follows(tmp_path):
    events = [*EPOCHS[:4], OTHER, *EPOCHS[4:], *HEADS]
    write(tmp_path, events[:3])
    with tensorboard.Board(tmp_path) as board:
        # The folder may still be another run's.
        assert not (tmp_path / "tensorboard").exists()
        for at in range(3, len(events)):
            write(tmp_path, events[at : at + 1])
            board(events[at])
            judge(points(tmp_path)[0], events[: at + 1])


def test_a_run_that_goes_on_has_no_point_twice_and_lacks_none(tmp_path):
    write(tmp_path, EPOCHS[:2])
    with tensorboard.Board(tmp_path) as board:
        board(EPOCHS[1])
    # Killed: the second epoch comes again, the third without a board.
    again = {**EPOCHS[1], "loss": 7.0}
    write(tmp_path, [again, EPOCHS[2], EPOCHS[3]])
    with tensorboard.Board(tmp_path) as board:
        board(EPOCHS[3])
    judge(points(tmp_path)[0], [EPOCHS[0], again, *EPOCHS[2:4]])


def test_the_rows_of_a_finished_run(tmp_path):
    write(tmp_path, EPOCHS)
    for _ in range(2):  # the command of a finished run, once more
        with tensorboard.Board(tmp_path) as board:
            board.conclude(RESULTS)
        found, (text,) = points(tmp_path)
        rows = {tag: (step, value) for tag, step, value in found if tag[:4] == "test"}
        assert rows == {
            "test_medium/swa-la": (0, 75.0),
            "test_few/swa-la": (0, 50.0),
            "test_all/swa-la": (0, 62.5),
            "test_nll/swa-la": (0, 0.5),
            "test_ece/swa-la": (0, 0.25),
            "test_brier/swa-la": (0, 0.125),
        }
        assert "\n     SWA + LA " in text
        judge([place for place in found if place[0] not in rows], EPOCHS)


def test_tensorboard_itself_reads_the_files(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing import event_accumulator

    write(tmp_path, EPOCHS)
    with tensorboard.Board(tmp_path) as board:
        board.conclude(RESULTS)
    read = event_accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    steps = [point.step for point in read.Scalars("loss/swa")]
    assert steps == [1, 2, 3]
    assert [point.value for point in read.Scalars("test_all/swa-la")] == [62.5]


# Any tracker


def test_a_tracker_gets_what_the_file_gets_and_cannot_change_it(tmp_path):
    heard, event = [], {"event": "row", "figures": {"nll": 0.5}}

    def track(event):
        heard.append(json.dumps(event))
        event["figures"]["nll"] = 0

    with Writer(tmp_path / "metrics.jsonl", track) as writer:
        writer.write(event)
        writer.write(event)
    assert heard == (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert event["figures"]["nll"] == 0.5


def test_a_tracker_that_fails_is_told_of_once_and_left_alone(capsys):
    heard = []

    def track(event):
        heard.append(event)
        if len(heard) == 2:
            raise ConnectionError("no route")

    tell = events.guarded(track)
    for number in range(4):
        tell(number)
    assert heard == [0, 1]
    assert capsys.readouterr().err == (
        "ltjax: the tracker failed (ConnectionError: no route) and gets no more "
        "events; the run goes on, and metrics.jsonl has them all\n"
    )


def test_ctrl_c_passes_through_a_tracker():
    def interrupted(event):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        events.guarded(interrupted)({})


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A folder with a config of the digits, whose runs tell one epoch and end."""

    def stages(config, system, loader, folder):
        folder.event(**EPOCHS[0])
        return [Outcome(RESULTS["rows"], {}, predicted={})]

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run, "stages", stages)
    text = (
        "from ltjax.config import *\n"
        "config = Config(\n"
        "    model=CifarResNet(depth=8, width=4), backbones=('swa',)\n"
        ")\n"
    )
    Path("c.py").write_text(text)
    return tmp_path


def test_a_run_tells_its_tracker_and_goes_on_without_it(desk, capsys):
    config, out, _ = main.read(["--config", "c.py"])
    heard = []
    run.run(config, out, Console(quiet=True), track=heard.append)
    assert heard == [EPOCHS[0]]

    def track(event):
        raise OSError("no route")

    results = run.run(config, "other", Console(quiet=True), track=track)
    assert results["rows"] == RESULTS["rows"]
    assert capsys.readouterr().err.startswith("ltjax: the tracker failed (OSError: no")


def test_the_log_is_no_part_of_a_run_and_may_come_late(desk, capsys):
    assert main.main(["--config", "c.py", "--out", "x"]) == 0
    assert not Path("x/tensorboard").exists()
    assert main.main(["--config", "c.py", "--out", "x", "--log", "tensorboard"]) == 0
    found, _ = points(Path("x"))
    judge([place for place in found if not place[0].startswith("test_")], EPOCHS[:1])
    assert ("test_nll/swa-la", 0, 0.5) in found
    assert "holds this run, finished" in capsys.readouterr().out


def test_a_missing_package_is_told_before_anything_is_read(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "c.py"
    path.write_text("from ltjax.config import *\nconfig = Config()\n")
    monkeypatch.setattr(tensorboard.importlib.util, "find_spec", lambda name: None)
    assert main.main(["--config", "c.py", "--log", "tensorboard"]) == 2
    assert capsys.readouterr().err == (
        "ltjax: --log tensorboard needs the package tensorboardX: "
        "pip install 'ltjax[tensorboard]'\n"
    )
    assert not (tmp_path / "runs").exists()
