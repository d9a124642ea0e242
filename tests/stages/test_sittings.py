"""One backbone now, the other later, in the same folder."""

import dataclasses
import io
import json

import pytest
from rich.console import Console
from test_resume import assert_same_bits, assert_same_epochs
from tiny import OFTEN, Place, quiet, timeless

from ltjax.config import Classifier
from ltjax.mistake import Mistake
from ltjax.predict import __main__ as predict
from ltjax.report import __main__ as report
from ltjax.run import run
from ltjax.stages import trained
from ltjax.workdir import events

pytestmark = pytest.mark.usefixtures("thin")


@pytest.fixture(scope="module")
def place(tmp_path_factory, thin):
    """A finished run of both; not to be changed."""
    few = Classifier(methods=("la", "srepr"), epochs=2, batch_size=16, views=1)
    path = tmp_path_factory.mktemp("place")
    return Place(path, classifier=few, checkpoint=OFTEN)


def sitting(place, out, *names, said=None):
    config = dataclasses.replace(place.config, backbones=names)
    return run(config, out, said or quiet())


def trained_epochs(out):
    return len([e for e in events.events(out) if e["event"] == "epoch"])


def test_sgd_now_and_swa_later_is_the_run_of_both(place, tmp_path):
    out = tmp_path / "x"
    first = sitting(place, out, "sgd")
    whole = place.results["rows"]
    assert timeless(first["rows"]) == timeless(
        [row for row in whole if row["backbone"] == "sgd"]
    )
    assert trained_epochs(out) == 4
    said = io.StringIO()
    sitting(place, out, "sgd", said=Console(file=said))
    assert "holds this run, finished" in said.getvalue()
    both = sitting(place, out, "swa")  # whose results are of both
    assert timeless(both["rows"]) == timeless(whole)
    assert trained_epochs(out) == 8
    assert_same_bits(place, out)
    assert_same_epochs(place, out)
    said = io.StringIO()
    run(place.config, out, Console(file=said))
    assert "holds this run, finished" in said.getvalue()


def test_swa_alone_is_the_same_swa(place, tmp_path):
    out = tmp_path / "x"
    found = sitting(place, out, "swa")["rows"]
    whole = place.results["rows"]
    wanted = [row for row in whole if row["backbone"] != "sgd"]
    assert timeless(found) == timeless(wanted)


def test_the_doors_of_a_run_of_sgd_alone(place, tmp_path, capsys):
    out, sheet = tmp_path / "x", tmp_path / "sheet.csv"
    sitting(place, out, "sgd")
    assert "dispersion" not in json.loads((out / "classes.json").read_text())
    assert report.main([str(out)]) == 0
    assert (out / "report.html").read_text().count("SGD + LA") > 1
    test = str(place.path / "test.npz")
    assert predict.main([str(out), test, "--out", str(sheet)]) == 0
    assert len(sheet.read_text().splitlines()) == 21
    capsys.readouterr()
    words = [str(out), test, "--out", str(tmp_path / "no.csv")]
    assert predict.main([*words, "--classifier", "swa/srepr"]) == 2
    error = capsys.readouterr().err
    assert "--classifier swa/srepr is no row of" in error
    assert error.count("\n") == 1
    with pytest.raises(Mistake, match="swa has nothing; finish the run first"):
        trained.read(out)
