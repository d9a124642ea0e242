"""A finished run sees images as it did while it ran, without its data."""

import json
import shutil
from copy import copy as copied

import jax
import numpy as np
import pytest
from tiny import of_one_pass

from ltjax.classifier import heads
from ltjax.data import longtail
from ltjax.evaluation import scores
from ltjax.mistake import Mistake
from ltjax.report import __main__ as door
from ltjax.report import page
from ltjax.stages import kept, trained
from ltjax.stages.loading import load
from ltjax.workdir import results

pytestmark = pytest.mark.usefixtures("compiled_once")
PAGES = True


@pytest.fixture(scope="module")
def place(place, tmp_path_factory):
    """A copy of the run, with a page about it."""
    place = copied(place)
    place.out = shutil.copytree(place.out, tmp_path_factory.mktemp("paged") / "done")
    said = page.made(place.out, load(place.config.data))
    assert said == f"a page about it is {place.out / 'report.html'}"
    return place


@pytest.mark.parametrize(("name", "samples"), [("sgd", 0), ("swa", 2)])
def test_features_of_the_test_images_are_those_of_the_run(place, name, samples):
    run = trained.read(place.out, name)
    images = load(place.config.data).test.image
    seen = trained.features(run, samples)(images)
    kept = trained.test_features(run)
    # Batches are of other sizes than in the run, on one device instead of two.
    np.testing.assert_allclose(seen, kept, rtol=1e-5, atol=1e-5)
    assert seen.shape[0] == samples + 1


def test_every_row_comes_out_again(place):
    runs = {name: trained.read(place.out, name) for name in ("sgd", "swa")}
    labels = trained.test_labels(runs["swa"])
    np.testing.assert_array_equal(labels, load(place.config.data).test.label)
    for row in place.results["rows"]:
        run = runs["sgd" if row["backbone"] == "sgd" else "swa"]
        z = trained.test_features(run)
        recipe, params = trained.head(run, row["classifier"], row["variant"])
        if row["backbone"] == "swag":
            own = jax.tree.map(lambda leaf: leaf[1:], kept.heads(place.out, "swa"))
            own = own if row["classifier"] == "none" else None
            z = z[1:]
            log_probs = heads.every_draw(recipe.logits, params, own)
        else:
            z, log_probs = z[:1], heads.one_pass(recipe.logits, params)
        figures, _ = scores.score(log_probs, z, labels, longtail.groups(run.counts))
        assert figures == {name: of_one_pass(row)[name] for name in figures}
        total = np.exp(log_probs(z)).sum(-1)
        np.testing.assert_allclose(total, 1, rtol=1e-5)


def test_what_is_not_there_is_named(place, tmp_path):
    run = trained.read(place.out)
    with pytest.raises(Mistake, match="no classifier lda of swa; it has crt, disalign"):
        trained.logits(run, "lda")
    with pytest.raises(Mistake, match="holds no run"):
        trained.read(tmp_path)
    copy = tmp_path / "run"
    shutil.copytree(place.out, copy)
    results = json.loads((copy / "results.json").read_text())
    del results["dataset"]["image"]
    (copy / "results.json").write_text(json.dumps(results))
    with pytest.raises(Mistake, match="an earlier version wrote it"):
        trained.read(copy)
    (copy / "results.json").unlink()
    with pytest.raises(Mistake, match="not finished"):
        trained.read(copy)
    shutil.copy(place.out / "results.json", copy)
    shutil.rmtree(copy / "checkpoints" / "swa")
    with pytest.raises(Mistake, match="swa has nothing; finish the run first"):
        trained.read(copy)


def test_one_image_alone_is_seen_as_among_others(place):
    run = trained.read(place.out)
    see = trained.features(run)
    images = load(place.config.data).test.image[:3]
    # Sums of another order in products of another size.
    np.testing.assert_allclose(see(images[:1])[0], see(images)[0, :1], atol=1e-5)
    assert jax.tree.leaves(run.batch_stats)[0].shape[0] == 3


def test_predictions_are_those_of_the_classifiers(place):
    seen, kept = trained.read(place.out), results.read(place.out)
    assert list(kept.predicted) == ["swa-none", "swa-la", "swa-srepr"] == kept.shown
    np.testing.assert_array_equal(kept.labels, trained.test_labels(seen))
    z = trained.test_features(seen)[:1]
    for name, predicted in kept.predicted.items():
        log_probs = heads.one_pass(*trained.logits(seen, name.removeprefix("swa-")))(z)
        np.testing.assert_array_equal(predicted.label, log_probs.argmax(-1))
        probability = np.exp(log_probs.max(-1))
        np.testing.assert_allclose(predicted.confidence, probability, rtol=1e-6)
        row = next(r for r in place.results["rows"] if name == "-".join(label(r)))
        right = 100 * (predicted.label == kept.labels).mean()
        assert right == pytest.approx(row["acc"]["all"])


def label(row):
    return filter(None, (row["backbone"], row["classifier"], row["variant"]))


def test_examples_are_the_surest_and_least_sure_images(place):
    kept = results.read(place.out)
    images = load(place.config.data).test.image
    sure = kept.predicted["swa-srepr"].confidence
    wrong = kept.predicted["swa-srepr"].label != kept.labels
    (kinds,) = (kept.chosen[group] for group in kept.chosen if group == "few")
    few = np.flatnonzero(kept.groups["few"][kept.labels])
    by_confidence = sorted(few, key=lambda row: sure[row])
    assert kinds["surest"].tolist()[0] in few
    assert sure[kinds["surest"]].tolist() == sorted(sure[few])[::-1][:6]
    assert sure[kinds["least sure"]].tolist() == [sure[r] for r in by_confidence[:6]]
    assert wrong[kinds["surest mistakes"]].all()
    for row, image in kept.images.items():
        np.testing.assert_array_equal(image, images[row])


def test_the_page_can_be_made_again(place, tmp_path, capsys):
    made = (place.out / "report.html").read_bytes()
    assert door.main([str(place.out), "--out", str(tmp_path / "x.html")]) == 0
    assert (tmp_path / "x.html").read_bytes() == made
    assert capsys.readouterr().out == f"{tmp_path / 'x.html'}\n"
    # Without --out over the page of the run.
    copy = tmp_path / "run"
    shutil.copytree(place.out, copy, ignore=shutil.ignore_patterns("checkpoints"))
    assert door.main([str(copy)]) == 0
    assert (copy / "report.html").read_bytes() == made
    assert door.main([str(copy), str(place.out), "--out", str(tmp_path / "y")]) == 2
    assert "give each run once" in capsys.readouterr().err


def test_a_page_that_fails_loses_nothing(place, monkeypatch):
    def fail(run):
        raise RuntimeError("no ink")

    monkeypatch.setattr(page, "of_run", fail)
    said = page.made(place.out, load(place.config.data))
    assert said == "no report.html: RuntimeError: no ink"
