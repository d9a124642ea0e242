"""What gets no labels: one line, nothing changed."""

import numpy as np
import pytest
from desk import LONG, Row, judge, judge_parser, judge_process, named
from makers import arrays, finished, folders, photos, share, text, unfinished

PREDICT = "predict r train.npz --out o.csv"
ROWS = (
    Row("no run", (), f"{PREDICT}", "r holds no run; give the folder of one"),
    Row("long", (), f"predict {LONG} . --out o.csv", "holds no run; give the"),
    Row("unfinished", unfinished, PREDICT, "r holds a run that is not fini"),
    Row(
        "damaged",
        (finished(), text("r/results.json", "{")),
        PREDICT,
        "results.json is damaged",
    ),
    Row(
        "an older run",
        finished(dataset={"classes": 3}),
        PREDICT,
        "does not tell the shape of images: an earlier version wrote it",
    ),
    Row(
        "without weights",
        finished(),
        PREDICT,
        "r/checkpoints/swa has nothing; fin",
    ),
    Row("nowhere", finished(), "predict r q --out o.csv", "q does not exist"),
    Row(
        "long path",
        finished(),
        f"predict r {LONG} --out o.csv",
        f"{LONG} does not exist",
    ),
    Row(
        "no images",
        (finished(), folders("e"), text("e/x.txt", "x")),
        "predict r e --out o.csv",
        "e has no images, wanted some (passed over: 1 .txt)",
    ),
    Row(
        "a photo of a phone",
        (finished(), text("1.heic", "")),
        "predict r 1.heic --out o.csv",
        "or an .npz with image; convert .heic to .jpg or .png",
    ),
    Row(
        "no image",
        finished(),
        "predict r mine.py --out o.csv",
        "mine.py is no image; wanted a folder, an image file, a .csv with a column",
    ),
    Row(
        "an empty tsv",
        (finished(), text("p.tsv", "label\tfile\n")),
        "predict r p.tsv --out o.csv",
        "p.tsv has no images, wanted some",
    ),
    Row(
        "a csv without paths",
        (finished(), text("p.csv", "other\na.png\n")),
        "predict r p.csv --out o.csv",
        "p.csv has the columns other; wanted path",
    ),
    Row(
        "up and out",
        (finished(), text("p.csv", "path\n../outside.png\n")),
        "predict r p.csv --out o.csv",
        "p.csv, line 2: ../outside.png leaves the folder of the file",
    ),
    Row(
        "npz of floats",
        (finished(), arrays("a.npz", image=np.zeros((2, 8, 8, 3), np.float32))),
        "predict r a.npz --out o.csv",
        "a.npz: 'image' is float32, wanted uint8 (0..255)",
    ),
    Row(
        "npz without images",
        (finished(), arrays("a.npz", image=None)),
        "predict r a.npz --out o.csv",
        "a.npz has no member 'image'; it has label",
    ),
    Row(
        "npz of two channels",
        (finished(), arrays("a.npz", image=np.zeros((2, 8, 8, 2), np.uint8))),
        "predict r a.npz --out o.csv",
        "a.npz has images of 2 channels, the run's have 3; wanted as many",
    ),
    Row(
        "pictures for five channels",
        (finished(image=(8, 8, 5)), photos("e/a.png")),
        "predict r e --out o.csv",
        "e has images of 3 channels, the run's have 5",
    ),
    Row(
        "a suffix",
        finished(),
        "predict r . --out o.txt",
        "--out o.txt is neither a .csv nor a .parquet; wanted either",
    ),
    Row(
        "in no folder",
        finished(),
        "predict r . --out no/o.csv",
        "--out no/o.csv: the folder no does not exist",
    ),
    Row(
        "a folder",
        (finished(), folders("o.csv")),
        PREDICT,
        "--out o.csv is a folder, wanted a file",
    ),
    Row(
        "over a file",
        (finished(), text("o.csv", "mine")),
        PREDICT,
        "--out o.csv exists; give another name, or --overwrite",
    ),
    Row(
        "over the images",
        (finished(), text("o.csv", "path\na.png\n")),
        "predict r o.csv --out o.csv --overwrite",
        "--out o.csv holds the images; give another name",
    ),
    Row(
        "a long name",
        (finished(), photos("e/a.png")),
        f"predict r e --out {LONG}.csv",
        f"--out {LONG}.csv cannot be written: File name too long",
    ),
    Row(
        "a part that is a folder",
        (finished(), photos("e/a.png"), folders("o.csv.part")),
        PREDICT,
        "--out o.csv cannot be written: Is a directory",
    ),
    Row(
        "a row",
        finished(),
        f"{PREDICT} --classifier swa/lda",
        "--classifier swa/lda is no row of r, which has sgd/none, swa/none, swa/la, "
        "swa/ncm; did you mean swa/la?",
    ),
    *(
        Row(f"{n} draws", finished(), f"{PREDICT} {flags}", says)
        for n, flags, says in (
            ("more", "--samples 11", "--samples is 11; it must be in 2..10"),
            ("one", "--samples 1", "--samples is 1; it must be in 2..10"),
            (
                "no",
                "--samples 2 --classifier sgd/none",
                "--samples is 2; sgd/none has no draws",
            ),
        )
    ),
    *(
        Row(f"{n}", finished(), f"{PREDICT} --coverage {value}", says)
        for n, value, says in (
            ("all", 1, "--coverage is 1.0; it must be between 0 and 1"),
            ("nothing", 0, "--coverage is 0.0; it must be between 0 and 1"),
            ("percent", 90, "--coverage is 90.0; it must be between 0 and 1"),
            ("a coverage", "nan", "--coverage is nan; it must be between 0 and 1"),
            (
                "too few tests",
                0.99,
                "--coverage is 0.99; that takes 99 test images to calibrate with, and "
                "the run has 12: it must be at most 0.923\n",
            ),
        )
    ),
    *(
        Row(f"a prior {n}", made, f"{PREDICT} --prior p.json", says)
        for n, made, says in (
            ("without a class", share(a=0.5, b=0.5), "p.json has no class 'c'; wanted"),
            (
                "of another",
                share(a=0.5, b=0.5, c=0, d=0),
                "p.json has an unknown class 'd'; wanted the run's 3",
            ),
            ("below 1", share(a=0.5, b=0.2, c=0.2), "the shares sum to 0.9, wanted 1"),
            ("below 0", share(a=1.5, b=-0.5, c=0), "share of 'a' is 1.5, wanted 0..1"),
            (
                "that is none",
                (finished(), text("p.json", "a: 1")),
                "--prior p.json cannot be read as JSON: Expecting value",
            ),
            ("nowhere", finished(), "p.json is not a file; wanted uniform, train"),
        )
    ),
    Row(
        "no prior",
        finished(),
        f"{PREDICT} --prior uniform --classifier swa/ncm",
        "--prior uniform: the probabilities of swa/ncm assume no known shares of the "
        "classes; give --classifier, one of sgd/none, swa/none, swa/la",
    ),
)


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_a_mistake_is_told_in_one_line(row, tmp_path, capsys, monkeypatch):
    judge(row, tmp_path, capsys, monkeypatch)


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("predict", "RUN"),
        ("predict r", "PATH"),
        ("predict r p", "--out"),
        ("predict r p --out o.csv --sample 2", "--samples"),
        ("predict r p --out o.csv --coverage high", "high"),
    ],
)
def test_flags_that_the_parser_refuses(command, says, tmp_path, capsys, monkeypatch):
    judge_parser(command, says, tmp_path, capsys, monkeypatch)


def test_a_mistake_is_told_by_a_process(tmp_path, monkeypatch):
    (row,) = (row for row in ROWS if row.name == "a prior below 1")
    judge_process(row, ("-m", "ltjax.predict"), tmp_path, monkeypatch)
