"""What cannot be exported: one line, nothing changed."""

import pytest
from desk import LONG, Row, judge, judge_parser, named
from makers import folders, run, table, text

EXPORTS = (
    ("nothing", (), "nowhere --to npz", "nowhere holds no run; give the folder of one"),
    ("a file", (), "mine.py --to npz", "mine.py holds no run; give the folder of one"),
    ("unfinished", run("r"), "r --to npz", "r holds a run that is not finished"),
    ("no format", table("r"), "r", "--to is not given; give one or more of safetens"),
    (
        "a row",
        table("r"),
        "r --to npz --classifier swa/lda",
        "--classifier swa/lda is no row of r, which has sgd/none, sgd/ncm, swa/n",
    ),
    (
        "many passes",
        table("r"),
        "r --to onnx --classifier swag/none",
        "--classifier swag/none is the mean of many passes, not one network; give swa/",
    ),
    (
        "not linear",
        table("r"),
        "r --to npz --classifier sgd/ncm",
        "--classifier sgd/ncm is not one linear layer, as safetensors and npz need it; "
        "--to onnx holds it as it is",
    ),
    (
        "a point's posterior",
        table("r"),
        "r --to posterior --classifier sgd/none",
        "--to posterior needs a row of swa; sgd/none is a point",
    ),
    (
        "an earlier one",
        (
            table("r"),
            folders("r/export"),
            text("r/export/export.json", '{"classifier": "sgd/none", "files": {}}'),
            text("r/export/model.npz", ""),
        ),
        "r --to npz --classifier swa/none",
        "--out r/export holds sgd/none, not swa/none; give another --out, or --overwr",
    ),
    *(
        (
            f"an earlier one that is {what}",
            (table("r"), folders("r/export"), text("r/export/export.json", record)),
            "r --to npz --overwrite --classifier swa/none",
            says,
        )
        for what, record, says in (
            ("none", "{}", "r/export/export.json is not that of an export; give ano"),
            ("a list", "[1]", "r/export/export.json is not that of an export; give a"),
            ("damaged", '{"classif', "r/export/export.json is damaged"),
        )
    ),
    (
        "others' files",
        (table("r"), folders("r/export"), text("r/export/README.md", "mine")),
        "r --to npz --overwrite --classifier swa/none",
        "--out r/export holds other files; give a new or empty folder",
    ),
    (
        "over the run",
        table("r"),
        "r --to npz --out r --overwrite --classifier swa/none",
        "--out r holds other files; give a new or empty folder",
    ),
    (
        "into a file",
        table("r"),
        "r --to npz --out mine.py --classifier swa/none",
        "--out mine.py is a file; it must be a folder or not exist",
    ),
    (
        "below a file",
        table("r"),
        "r --to npz --out mine.py/x/y --classifier swa/none",
        "--out mine.py/x/y cannot be written: mine.py takes no files",
    ),
    (
        "a long folder",
        table("r"),
        f"r --to npz --out {LONG} --classifier swa/none",
        "cannot be written: File name too long",
    ),
)
ROWS = [
    Row(name, made, f"export {command}", says) for name, made, command, says in EXPORTS
]


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_a_mistake_is_told_in_one_line(row, tmp_path, capsys, monkeypatch):
    judge(row, tmp_path, capsys, monkeypatch)


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("export", "RUN"),
        ("export r --to torch", "safetensors"),
        ("export r --to npz --classifer swa/la", "--classifier"),
    ],
)
def test_flags_that_the_parser_refuses(command, says, tmp_path, capsys, monkeypatch):
    judge_parser(command, says, tmp_path, capsys, monkeypatch)
