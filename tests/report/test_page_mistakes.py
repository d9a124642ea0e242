"""Runs that make no page: one line, nothing changed."""

import pytest
from desk import LONG, Row, judge, judge_parser, named
from makers import ended, folders, run, text

ROWS = (
    Row("of nothing", (), "report", "no run is given; give the folder of one"),
    Row("nothing there", (), "report runs/x", "runs/x holds no run; give the fo"),
    Row("a file", (), "report train.npz", "train.npz holds no run; give the fol"),
    Row("unfinished", run("r"), "report r", "r holds a run that is not finished"),
    Row("one unfinished", (ended("r"), run("s")), "report r s", "s holds a run t"),
    Row(
        "results damaged",
        (ended("r"), text("r/results.json", '{"rows": ')),
        "report r",
        "r/results.json is damaged",
    ),
    Row(
        "results of something else",
        (ended("r"), text("r/results.json", "[]")),
        "report r",
        "r holds a damaged run",
    ),
    Row(
        "predictions damaged",
        (ended("r"), text("r/predictions.npz", "x")),
        "report r",
        "r holds a damaged run",
    ),
    Row(
        "other data",
        (ended("r"), ended("s", "--data.imbalance-factor", "2")),
        "report r s",
        "s has other images or labels than r; only runs of the same data can be comp",
    ),
    Row("twice", ended("r"), "report r r", "r is seed 0 of the same settings as"),
    Row(
        "over the data",
        ended("r"),
        "report r --out train.npz",
        "train.npz holds something else; give a new file as --out",
    ),
    Row(
        "over something else",
        (ended("r"), text("r/report.html", "<html>")),
        "report r",
        "r/report.html holds something else; give a new file as --out",
    ),
    Row("a folder", (ended("r"), folders("d")), "report r --out d", "d is not a"),
    Row("no folder", ended("r"), "report r --out no/x.html", "no/x.html is not"),
    Row("long name", ended("r"), f"report r --out {LONG}", "name too long"),
)


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_a_mistake_is_told_in_one_line(row, tmp_path, capsys, monkeypatch):
    judge(row, tmp_path, capsys, monkeypatch)


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("report r --jsno x", "--jsno"),
    ],
)
def test_flags_that_the_parser_refuses(command, says, tmp_path, capsys, monkeypatch):
    judge_parser(command, says, tmp_path, capsys, monkeypatch)
