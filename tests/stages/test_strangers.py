"""Images of another set, beside the test images of a run."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from scipy.special import softmax
from sklearn import metrics
from tiny import CLASSES, Place, config_of, quiet, save

from ltjax.config import Classifier
from ltjax.mistake import Mistake
from ltjax.report import page, table
from ltjax.run import run
from ltjax.stages import kept, trained
from ltjax.workdir import results

pytestmark = pytest.mark.usefixtures("thin")


@pytest.fixture(scope="module")
def place(tmp_path_factory, thin):
    """A finished run that was asked about strangers; not to be changed."""
    path = tmp_path_factory.mktemp("strangers")
    rng = np.random.default_rng(5)
    image = rng.integers(0, 256, (30, 8, 8, 1)).astype(np.uint8)
    np.savez(path / "others.npz", image=image)
    few = Classifier(methods=("la",), epochs=2, batch_size=16, views=1)
    data = config_of(path, imbalance_factor=6).data
    data = dataclasses.replace(data, strangers=str(path / "others.npz"))
    return Place(path, data=data, classifier=few)


def test_figures_are_those_of_scikit_learn(place):
    told = place.results["strangers"]
    assert told["images"] == 30
    assert list(told["rows"]) == ["swa-none", "swa-la"]
    opened = trained.read(place.out)
    with np.load(place.path / "others.npz", allow_pickle=False) as file:
        z = np.asarray(trained.features(opened)(file["image"])[0], float)
    params = jax.tree.map(np.asarray, kept.head(place.out, "swa", "swa-la"))
    inside = np.asarray(kept.features(place.out, "swa", "test")[0], float)
    probs = [softmax(x @ params["kernel"] + params["bias"], -1) for x in (inside, z)]
    ours = np.repeat([1, 0], [len(inside), 30])
    for name, score in (
        ("confidence", lambda p: p.max(-1)),
        ("entropy", lambda p: (p * np.log(p)).sum(-1)),
    ):
        values = np.concatenate([score(p) for p in probs])
        wanted = metrics.roc_auc_score(ours, values)
        found = told["rows"]["swa-la"][name]
        assert found["auroc"] == pytest.approx(wanted, abs=0.01)
        assert 0 <= found["fpr95"] <= 1
    assert "disagreement" in told["rows"]["swa-la"]


def test_it_is_on_the_page_and_in_the_notes(place):
    text = page.of_run(results.read(place.out))
    assert "Images of another set" in text
    assert any(
        note.startswith("30 strangers, AUROC") for note in table.notes(place.results)
    )


def test_a_finished_run_is_asked_about_others(place, tmp_path, monkeypatch):
    before = json.loads((place.out / "results.json").read_text())
    save(tmp_path / "same.npz", [5] * CLASSES, 1)  # its own test images, 20
    data = dataclasses.replace(place.config.data, strangers=str(tmp_path / "same.npz"))
    found = run(dataclasses.replace(place.config, data=data), place.out, quiet())
    assert found["rows"] == before["rows"]
    for scores in found["strangers"]["rows"].values():
        for of in scores.values():
            # Who is no stranger is not told from ours: but for what another program
            # rounds in one of 400 pairs of equals.
            assert of["auroc"] == pytest.approx(0.5, abs=0.03)
    again = run(place.config, place.out, quiet())
    assert again["strangers"] == before["strangers"]


def test_what_is_no_set_of_images_is_told_before_the_run(place, tmp_path):
    for path, message in (
        (tmp_path / "none.npz", r"data.strangers: .*none.npz"),
        (tmp_path / "five.npz", r"has images of 5 channels"),
    ):
        np.savez(tmp_path / "five.npz", image=np.zeros((3, 8, 8, 5), np.uint8))
        data = dataclasses.replace(place.config.data, strangers=str(path))
        config = dataclasses.replace(place.config, data=data)
        with pytest.raises(Mistake, match=message):
            run(config, tmp_path / "run", quiet())
        assert not (tmp_path / "run").exists()
