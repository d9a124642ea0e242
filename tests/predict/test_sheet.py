"""Sheets come back as they were written, whole or not at all."""

import csv
import importlib.util
import json
import os
from pathlib import Path

import numpy as np
import pytest

from ltjax.mistake import Mistake
from ltjax.predict import sheet

COLUMNS = {"name": str, "at": int, "p": float, "set": list[str], "problem": str}
ROWS = {
    "name": ["a", 'b, "c"\nd', "é 白"],
    "at": [0, 1, None],
    "p": [np.float32(0.1), np.float32(1 / 3), None],
    "set": [["x"], ["y", "z, 'é'"], None],
    "problem": [None, None, "no bytes"],
}


def written(path, times=1, rows=ROWS):
    with sheet.writing(path, COLUMNS) as write:
        for _ in range(times):
            write(rows)


def test_a_file_is_closed_before_it_is_renamed(tmp_path, monkeypatch):
    """Windows renames no open file."""
    rename, still_open = Path.replace, []

    def on_windows(self, target):
        descriptors = Path("/proc/self/fd")
        if not descriptors.exists():
            pytest.skip("needs Linux's /proc")
        links = (os.path.realpath(link) for link in descriptors.iterdir())
        still_open.append(str(self) in links)
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", on_windows)
    written(tmp_path / "a.csv")
    assert still_open == [False]


def test_a_csv(tmp_path):
    path = tmp_path / "a.csv"
    written(path, 2)
    assert [file.name for file in tmp_path.iterdir()] == ["a.csv"]
    with path.open(encoding="utf-8", newline="") as text:
        found = list(csv.DictReader(text))
    assert len(found) == 6
    assert found[:3] == found[3:]
    assert [row["name"] for row in found[:3]] == ROWS["name"]
    assert [row["at"] for row in found[:3]] == ["0", "1", ""]
    # As many digits as float32 has, and no more.
    assert [row["p"] for row in found[:3]] == ["0.1", "0.33333334", ""]
    assert json.loads(found[1]["set"]) == ["y", "z, 'é'"]
    assert [row["problem"] for row in found[:3]] == ["", "", "no bytes"]


def test_parquet(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "a.parquet"
    written(path, 4000)
    assert [file.name for file in tmp_path.iterdir()] == ["a.parquet"]
    assert parquet.ParquetFile(path).num_row_groups == 2
    found = parquet.read_table(path)
    assert found.num_rows == 12_000
    assert found.slice(11_997).to_pydict() == ROWS
    types = [str(field.type) for field in found.schema]
    assert types == ["string", "int64", "float", "list<element: string>", "string"]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_nothing_is_left_of_half_a_sheet(tmp_path, kind, error):
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"a.{kind}"

    def stopped():
        with sheet.writing(path, COLUMNS) as write:
            write(ROWS)
            assert [file.name for file in tmp_path.iterdir()] == [f"a.{kind}.part"]
            raise error

    with pytest.raises(error):
        stopped()
    assert list(tmp_path.iterdir()) == []


def test_an_old_sheet_stays_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("old")
    with sheet.writing(path, COLUMNS) as write:
        write(ROWS)
        assert path.read_text() == "old"
    assert path.read_text() != "old"


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_full_disk_is_told(kind):
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no full device")

    class Full(type(full)):
        """Any file beside it is the full device."""

        def open(self, *arguments):
            return full.open(*arguments)

    with pytest.raises(Mistake, match="cannot be written: No space left on device"):
        written(Full(f"a.{kind}"), 5000)


def test_where_no_sheet_can_be(tmp_path, monkeypatch):
    old = tmp_path / "old.csv"
    old.touch()
    for path, says in (
        (tmp_path / "a.txt", "neither a .csv nor a .parquet"),
        (tmp_path / "a", "neither"),
        (tmp_path / "no" / "a.csv", f"the folder {tmp_path / 'no'} does not exist"),
        (old, "exists; give another name, or --overwrite"),
    ):
        with pytest.raises(Mistake, match=says):
            sheet.check(path)
    sheet.check(old, overwrite=True)
    (tmp_path / "b.csv").mkdir()
    with pytest.raises(Mistake, match="is a folder"):
        sheet.check(tmp_path / "b.csv", overwrite=True)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    sheet.check(tmp_path / "a.csv")
    with pytest.raises(Mistake, match=r"needs the package pyarrow \(pip install 'ltja"):
        sheet.check(tmp_path / "a.parquet")


def test_no_cell_of_a_csv_is_a_formula(tmp_path):
    names = ["=1+1", "+a", "-b", "@c", "\td", "e=1", "'f", ""]
    rows = {
        **dict.fromkeys(COLUMNS, [None] * 8),
        "name": names,
        "set": [["=1"], *[None] * 7],
    }
    with sheet.writing(tmp_path / "out.csv", COLUMNS) as write:
        write(rows)
    with open(tmp_path / "out.csv", encoding="utf-8", newline="") as text:
        found = list(csv.DictReader(text))
    assert [row["name"] for row in found] == [f"'{n}" for n in names[:5]] + names[5:]
    assert found[0]["set"] == '["=1"]'
