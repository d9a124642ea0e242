import json
import os

import pytest

from ltjax.mistake import Mistake
from ltjax.workdir.events import Writer
from ltjax.workdir.files import check_new, write_json


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_an_event_is_in_the_file_when_write_returns(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with Writer(path) as writer:
        writer.write({"event": "epoch", "loss": 0.5})
        assert lines(path) == [{"event": "epoch", "loss": 0.5}]
        writer.write({"event": "time"})
    assert lines(path) == [{"event": "epoch", "loss": 0.5}, {"event": "time"}]


def test_a_second_writer_appends(tmp_path):
    path = tmp_path / "metrics.jsonl"
    for number in (1, 2):
        with Writer(path) as writer:
            writer.write({"number": number})
    assert lines(path) == [{"number": 1}, {"number": 2}]


def test_a_line_cut_short_does_not_swallow_the_next_event(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"number": 1}\n{"numb')
    with Writer(path) as writer:
        writer.write({"number": 3})
    assert path.read_text() == '{"number": 1}\n{"numb\n{"number": 3}\n'


def test_the_file_is_closed_after_an_error(tmp_path):
    # An open file would warn when it is collected, and warnings are errors here.
    with pytest.raises(KeyError), Writer(tmp_path / "metrics.jsonl"):
        raise KeyError


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_json_lacks_is_refused(tmp_path, value):
    path = tmp_path / "metrics.jsonl"
    with Writer(path) as writer, pytest.raises(ValueError, match="JSON"):
        writer.write({"loss": value})
    assert path.read_text() == ""
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "results.json", {"nll": [value]})
    assert not (tmp_path / "results.json").exists()


def test_json_is_written_whole_and_leaves_nothing_beside_it(tmp_path):
    path = tmp_path / "results.json"
    for value in ({"rows": [1, None, "τ"]}, {"rows": []}):
        write_json(path, value)
        assert json.loads(path.read_text(encoding="utf-8")) == value
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "results.json"
    write_json(path, {"old": 1})

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_json(path, {"new": list(range(1000))})
    assert json.loads(path.read_text()) == {"old": 1}
    with pytest.raises(TypeError):
        write_json(path, {"new": object()})
    assert json.loads(path.read_text()) == {"old": 1}


def test_a_folder_that_takes_no_files_is_told_before_any_work(tmp_path, monkeypatch):
    path = tmp_path / "shut" / "out.json"
    path.parent.mkdir()
    check_new(path)
    # By the question that is asked: to the user root no folder is shut.
    monkeypatch.setattr(os, "access", lambda folder, mode: folder != path.parent)
    with pytest.raises(Mistake, match=r"out\.json cannot be written: shut takes no"):
        check_new(path)
