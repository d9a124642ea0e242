"""What cannot be routed: one line, nothing changed."""

import pytest
from desk import Row, judge, judge_parser, named
from makers import finished, folders, text, unfinished

from ltjax.config import Classifier, Config, Experts
from ltjax.config.record import to_json as json_of

ROUTE = "route r --out o.json"
ROWS = (
    Row("no run", (), ROUTE, "r holds no run; give the folder of one"),
    Row("unfinished", unfinished, ROUTE, "r holds a run that is not finished"),
    Row("one network", finished(), ROUTE, "r has 1 expert; a router chooses be"),
    Row("a row", finished(), f"{ROUTE} --classifier sgd/la", "sgd/la is no row "),
    Row(
        "learned together",
        finished(
            record={
                "config": json_of(
                    Config(model=Experts(), classifier=Classifier(experts="together"))
                ),
                "run": {"pretrained": None},
            }
        ),
        f"{ROUTE} --classifier swa/la",
        "--classifier swa/la is of experts whose classifiers learned together, none of",
    ),
    Row("no epochs", (), f"{ROUTE} --epochs 0", "--epochs is 0; it must be at "),
    Row(
        "empty batches",
        (),
        f"{ROUTE} --batch-size 0",
        "--batch-size is 0; it must be at least 1",
    ),
    Row("nothing at once", (), f"{ROUTE} --at-once 0", "--at-once is 0; it must"),
    Row("no logits", (), f"{ROUTE} --top 0", "--top is 0; it must be at least 1"),
    Row("no rate", (), f"{ROUTE} --lr nan", "--lr is nan; it must be positive"),
    Row("no weight", (), f"{ROUTE} --weight 0", "--weight is 0.0; it must be p"),
    Row(
        "no probability",
        (),
        f"{ROUTE} --threshold 1.1",
        "--threshold is 1.1; it must be in 0..1",
    ),
    Row("a suffix", (), "route r --out o.csv", "--out o.csv is no .json; wanted"),
    Row("in no folder", (), "route r --out no/o.json", "the folder no does not"),
    Row("a folder", folders("o.json"), ROUTE, "--out o.json is a folder"),
    Row(
        "over a file",
        text("o.json", "mine"),
        ROUTE,
        "--out o.json exists; give another name, or --overwrite",
    ),
    Row(
        "over a router",
        text("o.router.npz", "mine"),
        ROUTE,
        "--out o.router.npz exists; give another name, or --overwrite",
    ),
)


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_a_mistake_is_told_in_one_line(row, tmp_path, capsys, monkeypatch):
    judge(row, tmp_path, capsys, monkeypatch)


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("route", "RUN"),
        ("route r", "--out"),
        ("route r --out o.json --epoch 3", "--epochs"),
    ],
)
def test_flags_that_the_parser_refuses(command, says, tmp_path, capsys, monkeypatch):
    judge_parser(command, says, tmp_path, capsys, monkeypatch)
