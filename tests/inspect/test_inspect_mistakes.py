"""Images that cannot be looked at: one line, nothing changed."""

import numpy as np
import pytest
from desk import EMPTY, LONG, Row, judge, judge_parser, judge_process, named
from makers import archives, arrays, data, folders, giants, link, photos, text

CSVS = (
    ("columns", "path,group\na,1\n", "has the columns path, group; wanted path, label"),
    ("no names", "a.png,cat\n", "; the first line must name the columns: path,label"),
    ("two labels", "path,class,target\na,1,2\n", "call that of class and target 'labe"),
    ("two spellings", "path,label\na,cat\nb,Cat\n", "'Cat' is spelled 'cat' in line 2"),
    (
        "of another disk",
        "path,label\nD:\\a.png,1\n",
        "D:\\a.png leaves the folder of th",
    ),
    ("up by backslash", "path,label\n..\\out.png,1\n", "..\\out.png leaves the folder"),
    ("no header", "", "has the columns none; wanted path, label"),
    ("no rows", "path,label\n", "has no images, wanted a row per image"),
    ("one class", "path,label\na,1\nb,1\n", "has one class, '1'; it takes 2 to tell"),
    ("a value missing", "path,label\na,1\nb\n", "line 3: 1 values for 2 columns"),
    ("up and out", "path,label\na,1\n../out.png,2\n", "line 3: ../out.png leaves the"),
    ("round about", "path,label\na/../../o,2\n", "line 2: a/../../o leaves the folder"),
    ("absolute", "path,label\n/etc/passwd,2\n", "line 2: /etc/passwd leaves the"),
    ("a link out", "path,label\na.png,1\nl.png,2\n", "line 3: l.png leaves the folder"),
    ("a linked folder", "path,label\nup/o.png,1\n", "line 2: up/o.png leaves the"),
    ("a null byte", "path,label\n\0,1\nb,2\n", "none of its 2 files is there; the fi"),
    ("a null folder", "path,label\na\0/b,1\nb,2\n", "none of its 2 files is there"),
    ("twice", "path,label\na,1\n./a,2\n", "line 3: ./a is there already, in line 2"),
    ("a split", "path,label,split\na,1,tset\n", "line 2: the split is 'tset', wanted"),
    (
        "an unknown label",
        "path,label,split\na,cat,train\nb,dog,train\nc,cta,test\n",
        "line 4: the label 'cta' is in no training row; did you mean 'cat'?",
    ),
    ("no files", "path,label\na,1\nb,2\n", "none of its 2 files is there; the first"),
    ("a quote", 'path,label\n"a,1\n', "cannot be read as a CSV: "),
    ("a cell without end", f"path,label\n{'a' * 200_000},1\n", "cannot be read as"),
)
LINKS = link("l.png", "../outside.png"), link("up", "..")
ROWS = (
    Row("nowhere", (), "inspect a/b", "a/b does not exist, nor does its"),
    Row(
        "a typo",
        photos("zoo/a/1.png"),
        "inspect zo",
        "zo does not exist; did you mean zoo?",
    ),
    Row("long", (), f"inspect {LONG}", f"{LONG} does not exist"),
    Row("long npz", (), f"inspect {LONG}.npz", f"{LONG}.npz does not exist"),
    Row("a file", (), "inspect mine.py", "mine.py is a file, wanted"),
    Row(
        "empty",
        folders("e"),
        "inspect e",
        EMPTY,
    ),
    Row("no classes", photos("e/1.png"), "inspect e", "e has no images, want"),
    Row(
        "one class",
        photos("p/b/1.png"),
        "inspect p",
        "p has one class, 'b'; it takes 2 to tell apart",
    ),
    Row(
        "no training class",
        photos("p/test/b/1.png", "p/test/a/1.png"),
        "inspect p",
        "p has test/, but no train/CLASS in it",
    ),
    Row(
        "no bytes",
        (folders("p/a", "p/b"), data("p/a/1.jpg", b""), data("p/b/1.jpg", b"")),
        "inspect p",
        "none of the 2 images can be read; the first is p/a/1.jpg: no bytes",
    ),
    Row(
        "too many pixels",
        giants("p/a/1.png", "p/b/1.png"),
        "inspect p",
        "p/a/1.png: too many pixels; at most 80,000,000",
    ),
    Row(
        "too few to split",
        photos("p/a/1.png", "p/b/1.png"),
        "inspect p",
        "p leaves no images to test on; a class needs 3 or more",
    ),
    Row(
        "a loop of links",
        (folders("p"), link("p/a", "../p"), link("p/b", "a")),
        "inspect p",
        "(passed over: 2 links to folders)",
    ),
    Row(
        "a level too high",
        (photos(*(f"p/i/{s}/{n}/1.png" for s in ("Train", "Test") for n in "ab"))),
        "inspect p",
        "p has no splits itself, i/ has Test/ and Train/; did you mean p/i?",
    ),
    Row(
        "a split among classes",
        photos("p/a/1.png", "p/b/1.png", "p/test/1.png"),
        "inspect p",
        "p has test/ among its classes; if that is a split, put the other classes",
    ),
    Row(
        "nested twice",
        photos("p/a/x/1.png", "p/b/x/1.png"),
        "inspect p --nested",
        "p has two folders 'x', a/x and b/x; with nested each is a class",
    ),
    Row("nested rows", (), "inspect train.npz --nested", "--nested is for a"),
    Row(
        "photos of a phone",
        (folders("p/a", "p/b"), data("p/a/1.HEIC", b""), data("p/b/1.heic", b"")),
        "inspect p",
        "(passed over: 2 .heic; convert .heic to .jpg or .png)",
    ),
    Row("a link to itself", link("p", "p"), "inspect p", "leads nowhere"),
    Row("a zip", archives, "inspect photos.zip", "photos.zip is a file"),
    Row("a tar", archives, "inspect photos.tar", "photos.tar is a file"),
    Row("a zip as npz", archives, "inspect photos.npz", "no member 'image'"),
    Row("text as npz", text("a.npz", "a"), "inspect a.npz", "is not an"),
    Row("npz size", (), "inspect train.npz --size 8", "--size is 8; images"),
    Row(
        "two shapes",
        arrays("test.npz", image=np.zeros((27, 4, 4, 3), np.uint8)),
        "inspect train.npz --test test.npz",
        "test.npz has images of shape (4, 4, 3), train.npz of shape (8, 8, 3)",
    ),
    Row("a test", (), "inspect . --test test.npz", "goes with an .npz"),
    Row("size", (), "inspect . --size 3", "data.size is 3; it must be in 8.."),
    Row(
        "split",
        (),
        "inspect . --test-per-class 0",
        "data.test_per_class is 0; it must be at least 1",
    ),
    Row(
        "json nowhere",
        (),
        "inspect train.npz --json a/b.json",
        "--json a/b.json: the folder a does not exist",
    ),
    Row("json a folder", (), "inspect . --json .", "--json . is a folder"),
    Row(
        "json over the data",
        (),
        "inspect train.npz --json train.npz",
        "--json train.npz exists; remove it or give another name",
    ),
    Row(
        "json over another's",
        text("mine.json", '{"counts": []}'),
        "inspect train.npz --json mine.json",
        "--json mine.json exists; remove it or give another name",
    ),
    Row("json long", (), f"inspect e --json {LONG}", "e does not exist"),
    Row(
        "both in one",
        (),
        "inspect train.npz --json new --config-out new",
        "--json new and --config-out new are one file",
    ),
    Row(
        "over a config",
        (),
        "inspect train.npz --config-out mine.py",
        "--config-out mine.py exists; remove it or give another name",
    ),
    *(
        Row(f"csv: {n}", (text("p.csv", content), *LINKS), "inspect p.csv", says)
        for n, content, says in CSVS
    ),
    Row("tsv: empty", text("p.tsv", "path\tlabel\n"), "inspect p.tsv", "has no images"),
    Row("csv: a folder", folders("p.csv"), "inspect p.csv", "p.csv has no images"),
    Row("csv: no text", data("p.csv", b"path,label\n\xff,1"), "inspect p.csv", "utf-8"),
)


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_a_mistake_is_told_in_one_line(row, tmp_path, capsys, monkeypatch):
    judge(row, tmp_path, capsys, monkeypatch)


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("inspect", "PATH"),
        ("inspect . --jsno x", "--json"),
    ],
)
def test_flags_that_the_parser_refuses(command, says, tmp_path, capsys, monkeypatch):
    judge_parser(command, says, tmp_path, capsys, monkeypatch)


def test_a_mistake_is_told_by_a_process(tmp_path, monkeypatch):
    (row,) = (row for row in ROWS if row.name == "csv: up and out")
    judge_process(row, ("-m", "ltjax.inspect"), tmp_path, monkeypatch)
