"""Rows that are calibrated inside a run, on images that nothing is trained on."""

import csv
import dataclasses

import jax
import numpy as np
import pytest
from scipy.special import log_softmax
from tiny import Place, config_of, quiet, save

from ltjax.config import Classifier
from ltjax.config.command import read
from ltjax.evaluation import scaling
from ltjax.export import story as export
from ltjax.mistake import Mistake
from ltjax.predict import __main__ as predict
from ltjax.report import page, table
from ltjax.run import run
from ltjax.stages import kept, trained
from ltjax.stages import prior as priors
from ltjax.stages.loading import load
from ltjax.workdir import results
from ltjax.workdir.rows import Row

pytestmark = pytest.mark.usefixtures("thin")


@pytest.fixture(scope="module")
def place(tmp_path_factory, thin):
    """A finished run that has calibrated its rows; not to be changed."""
    few = Classifier(
        methods=("la", "srepr"), epochs=2, batch_size=16, views=1, calibrate=True
    )
    path = tmp_path_factory.mktemp("calibrated")
    data = config_of(path, imbalance_factor=6, validation=0.2).data
    return Place(path, data=data, classifier=few)


def row(place, backbone, classifier, variant=""):
    names = backbone, classifier, variant
    return next(
        row
        for row in place.results["rows"]
        if (row["backbone"], row["classifier"], row["variant"]) == names
    )


def plain(place, split, members=slice(0, 1)):
    """Log probabilities [N, C] of SWA + LA, uncalibrated, in NumPy float64."""
    params = jax.tree.map(np.asarray, kept.head(place.out, "swa", "swa-la"))
    features = np.asarray(kept.features(place.out, "swa", split)[members], float)
    logits = features @ params["kernel"] + params["bias"]
    return np.log(np.exp(log_softmax(logits, -1)).mean(0))


def nll(log_probs, labels):
    return -log_softmax(log_probs, -1)[np.arange(len(labels)), labels].mean()


@pytest.mark.parametrize(
    ("backbone", "members"), [("swa", slice(0, 1)), ("swag", slice(1, None))]
)
def test_a_row_is_what_its_held_out_images_make_of_it(place, backbone, members):
    found, data = row(place, backbone, "la"), load(place.config.data)
    own = scaling.fitted(plain(place, "validation", members), data.validation.label)
    told = found["calibration"]
    assert told["temperature"] == pytest.approx(own.temperature, rel=1e-4)
    assert told["images"] == len(data.validation.label)
    assert "bias" not in told  # of too few images
    test = plain(place, "test", members)
    assert told["before"]["nll"] == pytest.approx(nll(test, data.test.label), rel=1e-4)
    scaled = test / told["temperature"]
    assert found["nll"] == pytest.approx(nll(scaled, data.test.label), rel=1e-4)
    assert found["nll"] != told["before"]["nll"]


def test_every_row_has_one_and_it_is_told(place):
    assert all("calibration" in row for row in place.results["rows"])
    line = next(line for line in table.notes(place.results) if "calibrated" in line)
    images = place.results["dataset"]["validation"]
    assert line.endswith(f"fitted on {images} held-out images")
    text = page.of_run(results.read(place.out))
    assert "What a temperature has changed" in text
    assert f"{row(place, 'swa', 'la')['calibration']['temperature']:.3f}" in text


def predicted(place, tmp_path, *words):
    sheet = tmp_path / "out.csv"
    command = [place.out, place.path / "test.npz", "--out", sheet, *words]
    assert predict.main(list(map(str, command))) == 0
    with open(sheet, encoding="utf-8", newline="") as text:
        return np.array([float(line["probability"]) for line in csv.DictReader(text)])


def test_predictions_are_calibrated_and_say_so(place, tmp_path, capsys):
    found = predicted(place, tmp_path, "--classifier", "swa/la")
    temperature = row(place, "swa", "la")["calibration"]["temperature"]
    wanted = np.exp(log_softmax(plain(place, "test") / temperature, -1)).max(-1)
    np.testing.assert_allclose(found, wanted, rtol=1e-4)
    assert (
        f"calibrated: temperature {temperature:.3g}, fitted" in capsys.readouterr().err
    )


def test_another_prior_takes_the_place_of_the_root_that_is_there(place, tmp_path):
    found = predicted(place, tmp_path, "--classifier", "swa/none", "--prior", "uniform")
    params = kept.head(place.out, "swa", "swa-none")
    features = np.asarray(kept.features(place.out, "swa", "test")[0], float)
    logits = features @ np.asarray(params["kernel"]) + np.asarray(params["bias"])
    temperature = row(place, "swa", "none")["calibration"]["temperature"]
    shares = np.array(place.results["dataset"]["counts"], float)
    # p(x | y) to the power 1 / T: the training images' shares are taken out of it all.
    wanted = np.exp(log_softmax((logits - np.log(shares)) / temperature, -1)).max(-1)
    np.testing.assert_allclose(found, wanted, rtol=1e-4)


def test_exports_have_it_in_their_layer(place, tmp_path):
    about = export.export(place.out, ["npz"], "swa/la", tmp_path / "x", say=len)
    told = row(place, "swa", "la")["calibration"]
    opened = trained.read(place.out)
    logits, params = trained.logits(opened, "la")
    z = trained.test_features(opened)[0]
    scaled = log_softmax(plain(place, "test") / told["temperature"], -1)
    found = log_softmax(np.asarray(logits(params, z), float), -1)
    np.testing.assert_allclose(found, scaled, atol=1e-4)
    assert about["files"]["model.npz"]["largest_difference"] <= 1e-3
    card = (tmp_path / "x" / "README.md").read_text()
    assert f"divided by a temperature, {told['temperature']:.4g}, fitted" in card


def test_a_bias_makes_all_classes_as_frequent(place):
    own = scaling.Scaling(2.0, (0.5, -0.5, 0.0, 0.0))
    logits = np.array([[3.0, 0.0, 0.0, 0.0]], np.float32)
    np.testing.assert_allclose(own(logits), [[2.0, -0.5, 0.0, 0.0]])
    counts = np.array([24, 13, 7, 0])
    told = {Row("swa", "none"): {"calibration": own.told()}}
    found, words = priors.assumed(place.config, Row("swa", "none"), counts, told)
    np.testing.assert_allclose(found, [1 / 3, 1 / 3, 1 / 3, 0])
    assert words.startswith("equal shares")


def test_the_flag_alone_holds_a_tenth_out():
    config, _, command = read(["--config", "digits_lt", "--calibrate"])
    assert command.calibrate
    assert (config.classifier.calibrate, config.data.validation) == (True, 0.1)
    words = ["--config", "digits_lt", "--calibrate", "--data.validation", "0.25"]
    assert read(words)[0].data.validation == 0.25
    assert not read(["--config", "digits_lt"])[0].classifier.calibrate


def test_what_cannot_be_calibrated_is_refused_in_one_line(place, tmp_path):
    few = config_of(place.path).classifier
    few = Classifier(methods=few.methods, calibrate=True)
    config = dataclasses.replace(config_of(place.path), classifier=few)
    with pytest.raises(Mistake, match=r"classifier.calibrate is True.*--calibrate"):
        run(config, tmp_path / "run", quiet())
    save(tmp_path / "train.npz", [4, 3, 2, 2], 3)
    save(tmp_path / "test.npz", [2, 2, 2, 2], 4)
    config = dataclasses.replace(config_of(tmp_path, validation=0.1), classifier=few)
    with pytest.raises(Mistake, match=r"data.validation is 0.1, and no class"):
        run(config, tmp_path / "run", quiet())
    assert not (tmp_path / "run").exists()
