"""Wrong commands, configs and files: exit code 2, one line, nothing changed.

Their tables are the `test_*_mistakes.py` of each door; `makers` makes what is there.
Flags that there are not get such a line, too.
"""

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
from makers import arrays
from PIL import Image

from ltjax import main
from ltjax.export import __main__ as export
from ltjax.inspect import __main__ as inspect
from ltjax.predict import __main__ as predict
from ltjax.report import __main__ as report
from ltjax.route import __main__ as route
from ltjax.stages import representation

FILE = """
from ltjax.config import Config, Data, CifarResNet, Sgd, Swa
config = Config(
    data=Data(source="npz", train="train.npz", test="test.npz"),
    optim=Sgd(epochs=4, warmup_epochs=1, batch_size=8),
    swa=Swa(start=2),{model}
)
"""
LONG = "x" * 300  # longer than any file system's names
CONFIG = "from ltjax.config import *\n"
EMPTY = "e has no images, wanted CLASS/*.jpg or train/CLASS/*.jpg in it"


class Row(NamedTuple):
    """A line of a table."""

    name: str
    made: object  # functions that make what the command meets, where it is typed
    command: str
    says: str  # a part of the one line on stderr


def named(row):
    """The name of a row as one word."""
    return row.name.replace(" ", "_")


def lay(place, monkeypatch):
    """A folder where commands are typed; what lies beside it is not theirs."""
    desk = place / "desk"
    desk.mkdir()
    monkeypatch.chdir(desk)
    monkeypatch.setenv("COLUMNS", "100")
    Image.new("RGB", (9, 9)).save(place / "outside.png")
    small = "\n    model=CifarResNet(depth=8, width=4),"
    Path("mine.py").write_text(FILE.format(model=small))
    Path("weights.py").write_text(FILE.format(model=""))
    Path("folder.py").write_text(
        f"{CONFIG}config = Config(data=Data(source='folder', path='p'))"
    )
    arrays("train.npz")()
    image = np.ones((6, 8, 8, 3), np.uint8)  # none of those to train on
    arrays("test.npz", image=image, label=np.arange(6) % 3)()


def tree(path):
    """What there is: links, folders, and the bytes of files."""

    def content(entry):
        if entry.is_symlink():
            return os.readlink(entry)
        return None if entry.is_dir() else entry.read_bytes()

    return {entry: content(entry) for entry in path.rglob("*")}


DOORS = {
    "main": main,
    "inspect": inspect,
    "predict": predict,
    "report": report,
    "export": export,
    "route": route,
}


def code_of(command, monkeypatch):
    """The exit code of a command, run in this process."""
    door, *arguments = shlex.split(command)

    def trains(*_):
        raise AssertionError("the command got as far as training")

    monkeypatch.setattr(representation, "train", trains)
    try:
        return DOORS[door].main(arguments)
    except SystemExit as end:
        return end.code


def make(row):
    for each in row.made if isinstance(row.made, tuple) else (row.made,):
        each()


def told(row, code, error):
    """Whether a command ended as the row says."""
    assert code == 2, error
    assert error.startswith("ltjax: "), error
    assert error.count("\n") == 1, error
    assert error.endswith("\n")
    assert row.says in error


def judge(row, place, capsys, monkeypatch):
    """The command of a row ends with code 2 and its one line, and changes nothing."""
    lay(place, monkeypatch)
    make(row)
    before = tree(place)
    code = code_of(row.command, monkeypatch)
    told(row, code, capsys.readouterr().err)
    assert tree(place) == before


def judge_process(row, words, place, monkeypatch):
    """The same of a process of its own, started by these words."""
    lay(place, monkeypatch)
    make(row)
    before = tree(place)
    command = (sys.executable, *words, *row.command.split()[1:])
    ended = subprocess.run(command, capture_output=True, text=True)
    told(row, ended.returncode, ended.stderr)
    assert ended.stdout == ""
    assert tree(place) == before


def judge_parser(command, says, place, capsys, monkeypatch):
    """The same of flags that there are not."""
    lay(place, monkeypatch)
    before = tree(place)
    code = code_of(command, monkeypatch)
    out, err = capsys.readouterr()
    assert code == 2
    assert says in err
    assert out == ""
    assert "Traceback" not in err
    assert tree(place) == before
    assert err.startswith("ltjax: ")
    assert err.count("\n") == 1
