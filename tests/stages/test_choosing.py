"""An alpha that is chosen inside a run, on images that nothing is trained on."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from scipy.special import log_softmax
from test_resume import Killed, around, assert_same_bits
from tiny import OFTEN, Place, config_of, quiet, save

from ltjax.classifier import srepr
from ltjax.config import Classifier, Srepr
from ltjax.data import partition
from ltjax.predict import __main__ as predict
from ltjax.report import page, table
from ltjax.run import run
from ltjax.stages import kept, trained
from ltjax.stages.loading import load
from ltjax.workdir import events, results

pytestmark = pytest.mark.usefixtures("thin")

GRID = [(0.0, 1.0), (0.4, 1.0), (0.4, 4.0)]


@pytest.fixture(scope="module")
def place(tmp_path_factory, thin):
    """A finished run that has chosen; not to be changed."""
    few = Classifier(
        methods=("la", "srepr"),
        epochs=2,
        batch_size=16,
        views=1,
        srepr=Srepr(alpha="auto", temperature=3.0),
    )
    path = tmp_path_factory.mktemp("chosen")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(srepr, "grid", lambda form: GRID)
        data = config_of(path, imbalance_factor=6, validation=0.2).data
        yield Place(path, data=data, classifier=few, checkpoint=OFTEN)


def judged(place, name):
    """NLL and accuracy in percent of a head of the run, balanced, in NumPy float64."""
    params = jax.tree.map(np.asarray, kept.head(place.out, "swa", name))
    features = np.asarray(kept.features(place.out, "swa", "validation")[0], float)
    labels = load(place.config.data).validation.label
    log_probs = log_softmax(features @ params["kernel"] + params["bias"], -1)
    nll = -log_probs[np.arange(len(labels)), labels]
    right = log_probs.argmax(-1) == labels
    present = np.unique(labels)
    return tuple(
        np.mean([values[labels == c].mean() for c in present])
        for values in (nll, 100 * right)
    )


def headline(of):
    [row] = [
        row
        for row in of["rows"]
        if (row["backbone"], row["classifier"], row["variant"]) == ("swa", "srepr", "")
    ]
    return row


def test_nothing_is_trained_on_images_that_are_held_out(place):
    data = load(place.config.data)
    whole = load(dataclasses.replace(place.config.data, validation=0.0))
    assert whole.validation is None
    parts = [partition.digests(split.image) for split in (data.train, data.validation)]
    assert not set(parts[0]) & set(parts[1])
    assert sorted([*parts[0], *parts[1]]) == sorted(
        partition.digests(whole.train.image)
    )
    counts = np.bincount(whole.train.label)
    held = np.bincount(data.validation.label, minlength=4)
    np.testing.assert_array_equal(held, partition.spare(counts, 0.2))
    told = place.results["dataset"]
    assert told["counts"] == (counts - held).tolist()
    assert told["validation"] == held.sum()
    features = kept.features(place.out, "swa", "validation")
    assert features.shape[:2] == (3, held.sum())  # under the mean and both draws


def test_the_row_is_the_candidate_of_the_rule(place):
    told = headline(place.results)["choice"]
    names = [f"swa-srepr-c-mean-candidate{number}" for number in range(3)]
    found = [judged(place, name) for name in names]
    for each, (nll, accuracy), settings in zip(told["candidates"], found, GRID):
        assert (each["alpha"], each["temperature"]) == settings
        assert each["nll"] == pytest.approx(nll, rel=1e-5)
        assert each["acc"] == pytest.approx(accuracy)
    nll, bar = judged(place, "swa-la")  # LA's own row is as good
    expected = {"title": "LA", "nll": pytest.approx(nll), "acc": pytest.approx(bar)}
    assert told["bar"] == expected
    right = [at for at in range(3) if found[at][1] >= bar - 1e-9]
    if not right:
        top = max(accuracy for _, accuracy in found)
        right = [at for at in range(3) if found[at][1] == top]
    best = min(right, key=lambda at: found[at][0])
    assert (told["alpha"], told["temperature"]) == GRID[best]
    one, other = (
        kept.head(place.out, "swa", n) for n in (names[best], "swa-srepr-c-mean")
    )
    np.testing.assert_array_equal(one["kernel"], other["kernel"])


def test_it_is_told_what_was_chosen_and_what_that_cost(place):
    told = headline(place.results)["choice"]
    line = table.choice(headline(place.results))
    assert line == (
        f"SWA + SRepr: α {told['alpha']:g}, T {told['temperature']:g}, of 3 on "
        f"{told['images']} held-out images, in {told['seconds']:.0f} s"
    )
    assert line in table.notes(place.results)
    assert line in page.of_run(results.read(place.out))
    rows = [e for e in events.events(place.out) if e["event"] == "row"]
    assert [e["choice"] for e in rows if "choice" in e] == [told]


def test_the_doors_know_the_chosen_head(place, tmp_path, monkeypatch):
    data = load(place.config.data)
    stored = trained.held(place.out, "swa", place.config, data)
    made = trained.heads(stored, place.config.classifier)
    head = made["srepr", "c-mean"]
    assert head.choice is None
    assert head.variants == ("", "c-mean")
    again = trained.refit(stored, head, place.config.classifier, trained.views(stored))
    learned = trained.params(stored, "srepr", "c-mean")
    np.testing.assert_allclose(again["kernel"], learned["kernel"], rtol=1e-5)
    save(tmp_path / "new.npz", [2, 2, 2, 2], 7)
    sheet = tmp_path / "out.csv"
    words = [place.out, tmp_path / "new.npz", "--out", sheet]
    assert predict.main(list(map(str, words))) == 0
    assert len(sheet.read_text().splitlines()) == 9


@pytest.mark.parametrize("end", ["heads/swa/4", "heads/swa/6"])
def test_a_run_that_was_killed_within_a_choice_chooses_the_same(
    place, tmp_path, monkeypatch, end
):
    out = tmp_path / "x"
    with monkeypatch.context() as patch:
        around(patch, "save", end, before=False)
        with pytest.raises(Killed):
            run(place.config, out, quiet())
    assert not (out / "results.json").exists()
    run(place.config, out, quiet())
    assert_same_bits(place, out)
    told = json.loads((out / "results.json").read_text())
    assert headline(told)["choice"]["seconds"] > 0
