"""The figures and tables of a page as files of their own."""

import csv
import io
import re
import xml.etree.ElementTree as ET

import pytest
import written
from PIL import Image

from ltjax.report import __main__ as report
from ltjax.report import markup, page, parts


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return written.write(
        tmp_path_factory.mktemp("parts") / "run",
        class_names=["=1+1", "-x", "猫", "d", "e"],
    )


@pytest.fixture(scope="module")
def files(run):
    folder = run.out.parent / "figures"
    words = [str(run.out), "--out", str(run.out.parent / "p.html")]
    assert report.main([*words, "--parts", str(folder)]) == 0
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_every_figure_and_every_table_of_the_page_is_a_file(run, files):
    text = page.of_run(run)
    pictures = [name for name in files if name.endswith(".svg")]
    assert len(pictures) == text.count("<svg")
    assert {name.replace(".svg", ".png") for name in pictures} == {
        name for name in files if name.endswith(".png")
    }
    assert text.count("<table") == len([n for n in files if n.endswith(".csv")])
    numbers = sorted({int(name[:2]) for name in files})
    assert numbers == list(range(1, len(numbers) + 1))
    for name in pictures:
        assert files[name].decode() in text
        box = ET.fromstring(files[name]).attrib["viewBox"].split()
        with Image.open(io.BytesIO(files[name.replace(".svg", ".png")])) as image:
            wide, tall = image.size
        assert wide > 1000
        assert wide / tall == pytest.approx(float(box[2]) / float(box[3]), rel=0.01)


def read(files, words):
    (name,) = (name for name in files if re.fullmatch(rf"\d\d-{words}\.csv", name))
    return list(csv.reader(io.StringIO(files[name].decode("utf-8-sig"))))


def test_a_table_has_the_figures_of_the_run_and_no_formula(run, files):
    (head, *lines) = read(files, "all-rows")
    by_row = {line[0]: dict(zip(head, line)) for line in lines}
    (row,) = (
        row
        for row in run.results["rows"]
        if (row["backbone"], row["classifier"]) == ("swa", "srepr")
    )
    assert float(by_row["SWA + SRepr"]["NLL"]) == pytest.approx(row["nll"], abs=5e-4)
    (_, *lines) = read(files, "every-class")
    assert [line[0] for line in lines] == ["'=1+1", "'-x", "猫", "d", "e"]


def test_figures_are_those_that_programs_read_and_names_what_they_are():
    minus = "\N{MINUS SIGN}"
    rows = [
        ("+5", "+1.5", "+5"),
        ("y", f"{minus}2", "-"),
        ("z", "-", minus),
        ("u", "1,280", "1,280"),
        ("v", "+1.20 ± 0.10", "a"),
        ("w", f"{minus}1.20 ± 0.10", "=b"),
        ("t", "54.2 (80)", "c"),
        ("s", "=1+1", "d"),
    ]
    with parts.kept() as found:
        markup.table("T", ("a", "b", "c"), [rows], words=(2,))
    ((name, files),) = found
    assert name == "t"
    text = files[".csv"].decode("utf-8-sig")
    assert list(csv.reader(io.StringIO(text))) == [
        ["a", "b", "c"],
        ["'+5", "1.5", "'+5"],
        ["y", "-2", "'-"],
        ["z", "", minus],
        ["u", "1280", "1,280"],
        ["v", "1.20 ± 0.10", "a"],
        ["w", "-1.20 ± 0.10", "'=b"],
        ["t", "54.2 (80)", "c"],
        ["s", "'=1+1", "d"],
    ]


def test_nothing_is_drawn_twice_where_nobody_asks(run, tmp_path, monkeypatch):
    def drawn(*_):
        raise AssertionError("kept")

    monkeypatch.setattr(parts, "_keep", drawn)
    assert report.main([str(run.out), "--out", str(tmp_path / "p.html")]) == 0


def test_a_folder_with_files_stays_as_it_is(run, files, capsys):
    for place, words in (
        (run.out, "is not empty; give a new folder"),
        (run.out / "results.json", "is not a folder in an existing one"),
        (run.out / "no" / "x", "is not a folder in an existing one"),
    ):
        words_given = [str(run.out), "--parts", str(place)]
        assert report.main(words_given) == 2
        assert words in capsys.readouterr().err
