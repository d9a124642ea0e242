"""Commands of the workshop that are wrong: one line, nothing changed."""

import pytest
from desk import EXPERIMENTS, Row, judge, judge_parser, judge_process, named
from makers import text

TABLE2 = "table2 --config mine.py --out lines.jsonl"
ROWS = (
    Row("table: seed", (), f"{TABLE2} --seed 1", "--seed is the table's own to set"),
    Row("table: holdout", (), f"{TABLE2} --data.holdout=1", "--data.holdout is the"),
    Row("table: setting", (), f"{TABLE2} --swa.rank 1", "swa.rank is 1; it must be at"),
    Row(
        "table: no config",
        (),
        "table1 --config no.py --out x.jsonl",
        "--config no.py is not a file",
    ),
    Row(
        "table: over the data",
        (),
        "figure3 --config mine.py --out train.npz",
        "--out train.npz holds other lines; give a new file",
    ),
    Row(
        "table: lines of another",
        text(
            "lines.jsonl",
            '{"config": "mine", "settings": "x", "data": "y", "holdout": 50, '
            '"seed": 0}\n',
        ),
        TABLE2,
        "--out lines.jsonl holds lines of other settings (x, now ",
    ),
    Row(
        "table: no folder",
        (),
        "table2 --config mine.py --out no/x.jsonl",
        "--out no/x.jsonl is not a file in an existing folder",
    ),
    Row(
        "sweep: no holdout",
        (),
        "sweep --config mine.py --out lines.jsonl --holdout 0",
        "--holdout is 0; choose on held-out images",
    ),
    Row(
        "sweep: own flag",
        (),
        "sweep --config mine.py --out lines.jsonl --data.holdout 3",
        "--data.holdout is the table's own to set",
    ),
    Row("bench: repeats", (), "bench --repeats 0", "--repeats is 0; it must be at"),
    Row(
        "bench: both",
        (),
        "bench --quick --only growth",
        "--quick leaves out growth; drop one of the two",
    ),
    Row("bench: no folder", (), "bench --out no/x.json", "--out no/x.json is not a"),
    Row(
        "scaling: devices",
        (),
        "scaling --batch-size 8 --devices 1 3",
        "--devices 3 does not divide --batch-size 8; give a divisor of it",
    ),
    Row("scaling: none", (), "scaling --devices 0", "--devices 0 does not divide"),
    Row("scaling: no folder", (), "scaling --out no/x.json", "lies in no folder"),
)


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_a_mistake_is_told_in_one_line(row, tmp_path, capsys, monkeypatch):
    judge(row, tmp_path, capsys, monkeypatch)


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("table2 --config mine.py", "--out"),
        ("table2 --config mine.py --out x --seeds a", "invalid int value: 'a'"),
        ("table2 --config mine.py --out x.jsonl --optim.epoch 3", "--optim.epochs"),
        ("sweep --config mine.py --out x.jsonl --optim.epoch 3", "--optim.epochs"),
        ("bench --quik", "--quick"),
        ("scaling --devices two", "invalid int value: 'two'"),
        ("speedrun --train train.npz", "--test, --out"),
    ],
)
def test_flags_that_the_parser_refuses(command, says, tmp_path, capsys, monkeypatch):
    judge_parser(command, says, tmp_path, capsys, monkeypatch)


def test_a_mistake_is_told_by_a_process(tmp_path, monkeypatch):
    (row,) = (row for row in ROWS if row.name == "table: lines of another")
    judge_process(row, [EXPERIMENTS / "table2.py"], tmp_path, monkeypatch)
