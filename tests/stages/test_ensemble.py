"""Several seeds as one: in the table of --seeds, in predictions and in exports."""

import csv
import dataclasses
import json

import jax
import numpy as np
import pytest
from scipy.special import log_softmax, logsumexp
from tiny import CLASSES, config_of, quiet, save

from ltjax import seeds
from ltjax.config import Classifier
from ltjax.export import __main__ as export
from ltjax.predict import __main__ as predict
from ltjax.report import table
from ltjax.run import run
from ltjax.stages import ensemble, kept

pytestmark = pytest.mark.usefixtures("thin")


@pytest.fixture(scope="module")
def place(tmp_path_factory, thin):
    """Two seeds, and their summary; not to be changed."""
    path = tmp_path_factory.mktemp("seeds")
    save(path / "train.npz", [24] * CLASSES, 0)
    save(path / "test.npz", [5] * CLASSES, 1)
    few = Classifier(methods=("la",), epochs=2, batch_size=16, views=1)
    config = dataclasses.replace(config_of(path, imbalance_factor=6), classifier=few)
    where = seeds.places(path / "x", "tiny", (0, 1))
    found = {
        seed: run(dataclasses.replace(config, seed=seed), out, quiet())
        for seed, out in where.runs.items()
    }
    seeds.summarise(where, found)
    return path


def mean(place):
    """Log probabilities [N, C] of SWA + LA of both seeds, in NumPy float64."""
    each = []
    for seed in (0, 1):
        out = place / "x" / f"seed{seed}"
        params = jax.tree.map(np.asarray, kept.head(out, "swa", "swa-la"))
        features = np.asarray(kept.features(out, "swa", "test")[0], float)
        each.append(log_softmax(features @ params["kernel"] + params["bias"], -1))
    return logsumexp(each, 0) - np.log(2)


def test_the_summary_has_the_rows_of_the_mean(place):
    found = json.loads((place / "x" / "seeds.json").read_text())
    rows = [(row["backbone"], row["classifier"]) for row in found["ensemble"]]
    assert rows == [("sgd", "none"), ("swa", "none"), ("swa", "la")]
    labels = np.repeat(np.arange(CLASSES), 5)
    log_probs = mean(place)
    row = found["ensemble"][-1]
    assert row["seeds"] == 2
    assert row["nll"] == pytest.approx(-log_probs[np.arange(20), labels].mean(), 1e-4)
    right = 100 * (log_probs.argmax(-1) == labels).mean()
    assert row["acc"]["all"] == pytest.approx(right)
    names = [line.name for line in table.lines(found)]
    assert names[-3:] == ["2 x SGD", "2 x SWA", "2 x SWA + LA"]
    # It is no row of a single pass, and so never the best of these.
    assert not any(any(line.best) for line in table.lines(found)[-3:])
    assert any(note.startswith("2 x ...: the mean") for note in table.notes(found))


def test_one_seed_is_no_ensemble(place):
    assert ensemble.rows([place / "x" / "seed0"]) == []


def test_predictions_of_a_folder_of_seeds_are_those_of_the_mean(
    place, tmp_path, capsys
):
    command = [place / "x", place / "test.npz", "--out", tmp_path / "out.csv"]
    assert predict.main(list(map(str, [*command, "--classifier", "swa/la"]))) == 0
    with open(tmp_path / "out.csv", encoding="utf-8", newline="") as text:
        rows = list(csv.DictReader(text))
    wanted = np.exp(mean(place))
    np.testing.assert_allclose(
        [float(row["probability"]) for row in rows], wanted.max(-1), rtol=1e-3
    )
    assert [int(row["label"]) for row in rows] == wanted.argmax(-1).tolist()
    assert "the mean of 2 seeds" in capsys.readouterr().err
    # One seed is sure of something else.
    command = [place / "x" / "seed0", *command[1:-1], tmp_path / "one.csv"]
    assert predict.main(list(map(str, command))) == 0
    assert (tmp_path / "one.csv").read_text() != (tmp_path / "out.csv").read_text()


def test_draws_of_several_posteriors_are_refused(place, tmp_path, capsys):
    command = [place / "x", place / "test.npz", "--out", tmp_path / "out.csv"]
    assert predict.main(list(map(str, [*command, "--samples", "2"]))) == 2
    line = capsys.readouterr().err
    assert "--samples is 2, and" in line
    assert line.count("\n") == 1
    assert not (tmp_path / "out.csv").exists()


def test_a_damaged_summary_is_told_in_one_line(tmp_path, capsys):
    (tmp_path / "seeds.json").write_text('{"runs": 3}')
    words = [str(tmp_path), "x.png", "--out", str(tmp_path / "out.csv")]
    assert predict.main(words) == 2
    assert "seeds.json is no summary of seeds" in capsys.readouterr().err


def test_every_seed_is_exported(place, tmp_path, capsys):
    words = [place / "x", "--to", "npz", "--out", tmp_path / "files"]
    assert export.main(list(map(str, words))) == 0
    kernels = []
    for seed in (0, 1):
        with np.load(
            tmp_path / "files" / f"seed{seed}" / "model.npz", allow_pickle=False
        ) as file:
            kernels.append(file["fc.weight"])
    assert (kernels[0] != kernels[1]).any()
    assert "2 networks; of all, take the mean" in capsys.readouterr().out
