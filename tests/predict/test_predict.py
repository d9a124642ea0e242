"""The command line of a prediction, as a user meets it, on a finished run."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ltjax.classifier import prior
from ltjax.evaluation import conformal
from ltjax.posterior import dispersion
from ltjax.predict import __main__ as predict
from ltjax.predict import predictor, story
from ltjax.stages import kept, trained
from ltjax.workdir import seal
from ltjax.workdir.rows import Row

pytestmark = pytest.mark.usefixtures("compiled_once")


@pytest.fixture(scope="module")
def plain(place, compiled_once, tmp_path_factory):
    """What is predicted of the test images if nothing else is asked for."""
    out = tmp_path_factory.mktemp("plain") / "out.csv"
    test = place.path / "test.npz"
    assert predict.main([str(place.out), str(test), "--out", str(out)]) == 0
    return lines(out)


@pytest.fixture
def desk(place, tmp_path, monkeypatch):
    """The folder a user works in: `run`, a finished run, and its test images."""
    monkeypatch.chdir(tmp_path)
    Path("run").symlink_to(place.out)
    shutil.copy(place.path / "test.npz", "test.npz")
    return tmp_path


@pytest.fixture
def labels(place):
    with np.load(place.path / "test.npz", allow_pickle=False) as file:
        return file["label"]


def lines(path):
    with open(path, encoding="utf-8", newline="") as text:
        return list(csv.DictReader(text))


def predicted(command, out="out.csv"):
    assert predict.main([*command.split(), "--out", out]) == 0
    return lines(out)


def probabilities(rows):
    """[N, C] of all four classes, from the five most probable of a row."""
    probs = np.zeros((len(rows), 4))
    for at, row in enumerate(rows):
        for end in ("", "_2", "_3", "_4"):
            probs[at, int(row[f"label{end}"])] = row[f"probability{end}"]
    return probs


@pytest.mark.parametrize("name", ["", "sgd/none", "swag/la"])
def test_the_runs_own_test_images_give_its_table(desk, place, labels, capsys, name):
    rows = predicted(f"run test.npz {name and '--classifier ' + name}")
    wanted = Row(*(name or "swa/srepr").split("/"))
    (known,) = (
        row
        for row in place.results["rows"]
        if (row["backbone"], row["classifier"], row["variant"])
        == (wanted.backbone, wanted.classifier, wanted.variant)
    )
    assert [row["index"] for row in rows] == [str(at) for at in range(20)]
    found = np.array([int(row["label"]) for row in rows])
    assert 100 * (found == labels).mean() == pytest.approx(known["acc"]["all"])
    probs = probabilities(rows)
    np.testing.assert_allclose(probs.sum(1), 1, rtol=1e-5)
    # Images come in other batches than in the run.
    nll = -np.log(probs[np.arange(20), labels]).mean()
    assert nll == pytest.approx(known["nll"], abs=1e-5)
    entropy = -(probs * np.log(probs)).sum(1)
    np.testing.assert_allclose(
        [float(row["entropy"]) for row in rows], entropy, rtol=1e-4
    )
    drawn = {"dispersion_representation", "dispersion_probability"}
    assert (drawn <= rows[0].keys()) == (wanted.backbone == "swag")
    out, err = capsys.readouterr()
    assert out == ""
    assert f"{wanted} of run; its probabilities assume" in err
    assert "rows in out.csv: 20;" in err


def test_every_file_of_a_checkpoint_is_hashed_once(desk, monkeypatch):
    digest, files = seal.checksum, []

    def counted(file, *args):
        files.append(file)
        return digest(file, *args)

    monkeypatch.setattr(seal, "checksum", counted)
    kept._damage.cache_clear()
    predicted("run test.npz --coverage 0.5 --samples 2")
    assert files
    assert len(files) == len(set(files))


def test_pictures_of_the_same_images(desk, plain, capsys):
    """In colour, in folders, with something at both sides; with two that are none."""
    with np.load("test.npz", allow_pickle=False) as file:
        for at, image in enumerate(file["image"]):
            folder = Path("photos") / f"of {at // 10}"
            folder.mkdir(parents=True, exist_ok=True)
            colours = np.repeat(np.pad(image, ((0, 0), (2, 2), (0, 0))), 3, -1)
            Image.fromarray(colours).save(folder / f"{at:02d}.png")
    Path("photos/of 0/05.png").write_bytes(b"")
    Path("photos/of 1/notes.txt").touch()
    rows = predicted("run photos")
    assert [row["path"] for row in rows] == [
        f"of {at // 10}/{at:02d}.png" for at in range(20)
    ]
    for at, (row, same) in enumerate(zip(rows, plain)):
        if at == 5:
            assert row["problem"] == "no bytes"
            assert set(row.values()) == {"", "of 0/05.png", "no bytes"}
        else:
            assert row["label"] == same["label"]
            assert row["probability"] == same["probability"]
            assert row["problem"] == ""
    err = capsys.readouterr().err
    for part in (
        "images of another size: 19, scaled to 8 x 8 pixels, without what is beside",
        "images of other colours: 19, made grey",
        "passed over: 1 .txt",
        "files that gave no image: 1, whose rows have no label",
    ):
        assert part in err


def test_dispersion_is_that_of_the_run(desk, place, labels):
    rows = predicted("run test.npz --classifier swa/none --samples 2")
    wanted = place.read("classes.json")["dispersion"]
    for name in ("representation", "probability"):
        values = np.array([float(row[f"dispersion_{name}"]) for row in rows])
        per_class = [values[labels == at].mean() for at in range(4)]
        np.testing.assert_allclose(per_class, wanted[name], rtol=1e-3)


def test_another_prior(desk, place, capsys):
    """Uniform, of a plain classifier: LA post-hoc."""
    rows = predicted("run test.npz --classifier swa/none --prior uniform")
    said = "swa/none of run; its probabilities assume the training images' shares of"
    assert said in capsys.readouterr().err
    lowered = predictor.of_row(place.out, Row("swa", "la_posthoc"))
    wanted = np.exp(predictor.on_tests(lowered)[0])
    np.testing.assert_allclose(probabilities(rows), wanted, rtol=1e-4, atol=1e-7)


def test_of_draws_the_mixture_is_re_adjusted(place):
    priors = np.full(4, 0.25), np.array([0.1, 0.2, 0.3, 0.4])
    row = Row("swag", "la")
    mixed, found = (
        predictor.on_tests(predictor.of_row(place.out, row, 2, given))[0]
        for given in (None, priors)
    )
    np.testing.assert_allclose(found, prior.adjusted(mixed, *priors), atol=1e-6)


def test_sets(desk, place, labels, capsys):
    rows = predicted("run test.npz --coverage 0.8")
    err = capsys.readouterr().err
    assert "calibrated on the run's 20 test images, 4 of 4 classes by themselves" in err
    assert "no independent measure of coverage any more" in err
    sets = [json.loads(row["set"]) for row in rows]
    assert all(int(row["label"]) == found[0] for row, found in zip(rows, sets))
    # On what calibrated them they hold at least as many as was asked for.
    held = np.array([label in found for label, found in zip(labels, sets)])
    assert all(held[labels == at].mean() >= 0.8 for at in range(4))
    probs = probabilities(rows)
    scores = -np.log(probs[np.arange(20), labels])
    limits = [np.sort(scores[labels == at])[4] for at in range(4)]  # the 5th of 5
    own = -np.log(probs)
    inside = own <= np.array(limits)[None]
    # Which side of its own limit a label is on, rounding decides.
    known = np.abs(own - np.array(limits)[None]) > 1e-4
    inside[np.arange(20), probs.argmax(1)] = True
    found = np.array([[at in found for at in range(4)] for found in sets])
    assert known.sum() >= 70
    np.testing.assert_array_equal(found[known], inside[known])


def test_what_never_comes_is_in_no_set(desk, place, labels):
    Path("prior.json").write_text('{"0": 0, "1": 0.3, "2": 0.3, "3": 0.4}')
    rows = predicted("run test.npz --prior prior.json --coverage 0.8")
    assert not any(0 in json.loads(row["set"]) for row in rows)
    assert (probabilities(rows)[:, 0] == 0).all()


def test_parquet_holds_the_same(desk, plain):
    parquet = pytest.importorskip("pyarrow.parquet")
    command = "run test.npz --out o.parquet --coverage 0.8 --prior train"
    assert predict.main(command.split()) == 0
    found = parquet.read_table("o.parquet").to_pylist()
    assert list(found[0]) == [*list(plain[0])[:-1], "set", "problem"]
    assert {type(row["label"]) for row in found} == {int}
    assert all(row["set"][0] == row["label"] for row in found)
    assert {row["problem"] for row in found} == {None}


def test_names_of_classes_and_a_run_without_srepr(desk, place, capsys):
    """The latter are the names on disk; a prior is told in them."""
    shutil.copytree(place.out, "named")
    results = json.loads(Path("named/results.json").read_text())
    results["dataset"]["class_names"] = ["ant", "bee", "cat", "dög"]
    results["rows"] = [r for r in results["rows"] if r["classifier"] != "srepr"]
    Path("named/results.json").write_text(json.dumps(results))
    Path("prior.json").write_text('{"bee": 0.5, "cat": 0.5, "ant": 0, "dög": 0}')
    rows = predicted("named test.npz --prior prior.json --coverage 0.8")
    assert {row["label"] for row in rows} <= {"bee", "cat"}
    assert {row["label_4"] for row in rows} <= {"ant", "dög"}
    assert json.loads(rows[0]["set"])[0] == rows[0]["label"]
    err = capsys.readouterr().err
    assert "the run has no row swa/srepr; swa/la is taken instead" in err


def test_batches_of_any_number_are_the_same(desk, plain, monkeypatch):
    monkeypatch.setattr(story, "_BATCH", 6)  # of 5, 5, 5 and 5
    again = predicted("run test.npz")
    np.testing.assert_allclose(probabilities(again), probabilities(plain), atol=1e-5)
    assert [row["index"] for row in again] == [row["index"] for row in plain]


def test_stopped_by_its_user(desk, place, monkeypatch, capsys):
    Path("out.csv").write_text("old")

    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(story, "_rows", stopped)
    command = "run test.npz --out out.csv --overwrite"
    assert predict.main(command.split()) == 130
    assert Path("out.csv").read_text() == "old"
    assert not list(desk.glob("*.part"))
    err = capsys.readouterr().err
    assert "out.csv is not written\n" in err
    assert err.endswith("ltjax: stopped\n")


def test_as_functions(desk, place, labels):
    """From arrays to arrays; and what a report makes of coverage."""
    row = predictor.of_row(place.out, Row("swa", "srepr"), samples=2)
    with np.load("test.npz", allow_pickle=False) as file:
        seen = predictor.on_images(row)(file["image"])
    log_probs, known = predictor.on_tests(row)
    np.testing.assert_array_equal(known, labels)
    np.testing.assert_allclose(seen.log_probs, log_probs, atol=1e-4)
    features = trained.test_features(row.run)[1:]
    np.testing.assert_allclose(
        seen.representation, dispersion.representation(features), rtol=1e-3
    )
    groups = {"all of them": np.ones(4, bool)}
    found = conformal.split_coverage(log_probs, labels, groups, 0.6)
    assert found["groups"]["all"] == found["groups"]["all of them"]
    assert json.loads(json.dumps(found)) == found


def test_help_reads_well(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit) as end:
        predict.main(["--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    for part in ("RUN", "PATH", "--out PATH", "--prior", "--coverage", "--samples"):
        assert part in text
    assert "--no-overwrite" not in text


def test_the_next_images_to_label(desk, capsys):
    every = predicted("run test.npz --samples 2")
    found = predicted("run test.npz --samples 2 --next 4", "next.csv")
    assert len(found) == 4
    doubt = {row["index"]: float(row["dispersion_probability"]) for row in every}
    assert found[0]["index"] == max(doubt, key=doubt.get)
    by_index = {row["index"]: row for row in every}
    assert all(by_index[row["index"]] == row for row in found)
    assert predict.main(["run", "test.npz", "--out", "x.csv", "--next", "0"]) == 2
    assert "--next is 0; it must be 1 or more" in capsys.readouterr().err


def test_crops_are_averaged(place, desk, labels, capsys):
    run = trained.read(place.out)
    made = predictor.of_row(place.out, Row("swa", "srepr"))
    with np.load(desk / "test.npz", allow_pickle=False) as file:
        images = file["image"]
    every = predictor.crops(images, 10)
    assert len(every) == 10
    np.testing.assert_array_equal(every[0], images)
    # Of 8 pixels a sixteenth is a pixel at least; the corner goes to the other end.
    np.testing.assert_array_equal(every[1][:, 1:, 1:], images[:, :-1, :-1])
    np.testing.assert_array_equal(every[1][:, 0, 1:], images[:, 0, :-1])
    np.testing.assert_array_equal(every[4][:, :-1, :-1], images[:, 1:, 1:])
    np.testing.assert_array_equal(every[5], images[:, :, ::-1])
    see = predictor.on_images(made)
    probs = np.mean([np.exp(see(crop).log_probs) for crop in every[:5]], 0)
    found = predicted("run test.npz --crops 5", "crops.csv")
    np.testing.assert_allclose(
        [float(row["probability"]) for row in found], probs.max(-1), rtol=1e-4
    )
    assert run.out == place.out
    line = "run test.npz --out x.csv --crops 5 --coverage 0.5"
    assert predict.main(line.split()) == 2
    assert "--crops is 5; sets of --coverage" in capsys.readouterr().err
