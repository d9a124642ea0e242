"""Trained runs are opened again, and their stage one serves another run."""

import dataclasses
import json
import shutil

import jax
import numpy as np
import pytest
from tiny import of_one_pass, quiet, save

from ltjax.classifier import heads
from ltjax.data import longtail
from ltjax.evaluation import scores
from ltjax.mistake import Mistake
from ltjax.run import run
from ltjax.stages import classifier, kept, trained
from ltjax.stages.loading import load
from ltjax.workdir import adoption, checkpoint, claim, identity, versions

pytestmark = pytest.mark.usefixtures("compiled_once")


@pytest.mark.parametrize("name", ["sgd", "swa"])
def test_a_finished_run_gives_its_rows_again(place, name):
    stored = trained.held(place.out, name, place.config, load(place.config.data))
    rows = {
        (row["classifier"], row["variant"]): row
        for row in place.results["rows"]
        if row["backbone"] == name
    }
    made = trained.heads(stored, place.config.classifier)
    # The headline row of SRepr has its form's name besides.
    assert made.keys() == rows.keys() - {("srepr", "")}
    for row, recipe in made.items():
        figures, _ = scores.score(
            heads.one_pass(recipe.logits, trained.params(stored, *row)),
            stored.test[:1],
            stored.data.test.label,
            longtail.groups(stored.index.counts),
        )
        assert figures == {name: of_one_pass(rows[row])[name] for name in figures}


def test_a_head_trained_again_on_the_kept_views_is_the_same(place):
    settings = place.config.classifier
    stored = trained.held(place.out, "swa", place.config, load(place.config.data))
    recipe = trained.heads(stored, settings)["srepr", "c-mean"]
    params = classifier.fit(
        recipe,
        settings,
        stored.keys.head_order,
        trained.views(stored),
        stored.data.train.label,
        jax.jit(classifier.batches_of("instance", settings, stored.index)),
        lambda *_: None,
    )
    jax.tree.map(
        np.testing.assert_array_equal, params, trained.params(stored, "srepr", "c-mean")
    )


def test_what_is_not_there_is_named(place, tmp_path):
    data = load(place.config.data)
    with pytest.raises(Mistake, match="holds no run"):
        trained.held(tmp_path, "sgd", place.config, data)
    out = tmp_path / "x"
    shutil.copytree(place.out, out)
    other = dataclasses.replace(place.config, seed=1)
    with pytest.raises(Mistake, match="holds another run: seed was 0, now 1"):
        trained.held(out, "sgd", other, data)
    named = dataclasses.replace(data, class_names=tuple("abcd"))
    with pytest.raises(Mistake, match="holds another run: class 0 was '0', is 'a'"):
        trained.held(out, "sgd", place.config, named)
    (head,) = checkpoint.steps(out / "checkpoints" / "heads" / "sgd")
    (head / "_CHECKPOINT_METADATA").unlink()
    with pytest.raises(Mistake, match=r"sgd/8 cannot be used: _CHECK.* is missing"):
        trained.held(out, "sgd", place.config, data)
    shutil.rmtree(head)
    with pytest.raises(Mistake, match="heads/sgd has nothing; finish the run first"):
        trained.held(out, "sgd", place.config, data)
    stored = trained.held(out, "swa", place.config, data)
    features = out / "checkpoints" / "features" / "swa"
    (features / "view0.npy").unlink()
    with pytest.raises(Mistake, match="keeps no views"):
        trained.views(stored)
    (features / "test.npy").write_bytes(b"x")
    with pytest.raises(
        Mistake, match=r"test\.npy cannot be used: it is not what was wr"
    ):
        trained.held(out, "swa", place.config, data)
    few = {"batch_stats": np.zeros(1)}
    checkpoint.save_step(features, (9,), few, keep=1)
    with pytest.raises(Mistake, match="no heads of the draws: an earlier version"):
        kept.heads(out, "swa")


def few(config, **changes):
    """The config with few classifiers, and changes of those."""
    methods = ("la_posthoc", "la", "srepr")
    settings = dataclasses.replace(config.classifier, methods=methods, **changes)
    return dataclasses.replace(config, classifier=settings)


def heads_changed(config):
    return few(config, lr=0.05)


def draws_changed(config):
    posterior = dataclasses.replace(config.posterior, samples=1)
    return dataclasses.replace(few(config), posterior=posterior)


@pytest.mark.parametrize(
    ("change", "stages"),
    [(heads_changed, {"classifier"}), (draws_changed, {"features", "classifier"})],
)
def test_a_stage_one_serves_another_run(place, tmp_path, change, stages):
    config = change(place.config)
    results = run(config, tmp_path / "new", quiet(), stage_one=place.out)
    assert results["seconds"].keys() == stages | {"saving"}
    assert not list((tmp_path / "new" / "checkpoints").glob(".*"))
    adopted = {
        (row["backbone"], row["classifier"]): row["acc"] for row in results["rows"]
    }
    for row in place.results["rows"]:
        if row["backbone"] != "swag" and row["classifier"] in ("none", "la_posthoc"):
            assert adopted[row["backbone"], row["classifier"]] == row["acc"]
    # As if it had trained them itself.
    assert run(config, tmp_path / "new", quiet()) == results


@pytest.mark.parametrize("version", [versions.versions()["ltjax"], "0.1"])
def test_features_of_another_version_are_not_taken_over(place, tmp_path, version):
    other, out = tmp_path / "other", tmp_path / "new"
    shutil.copytree(place.out, other)
    record = json.loads((other / "config.json").read_text())
    record["versions"]["ltjax"] = version
    (other / "config.json").write_text(json.dumps(record))
    out.mkdir()
    adoption.adopt(out, other, place.config, ("sgd", "swa"))
    found = {entry.name for entry in (out / "checkpoints").iterdir()}
    assert found >= {"sgd", "swa"}
    assert ("features" in found) == (version != "0.1")


def refused(place, config, other, out):
    with pytest.raises(Mistake) as caught:
        run(config, out, quiet(), stage_one=other)
    assert not (out / "checkpoints").exists()
    return str(caught.value)


def test_another_stage_one_is_refused(place, tmp_path):
    out = tmp_path / "new"
    config = dataclasses.replace(place.config, seed=1)
    message = refused(place, config, place.out, out / "seed")
    assert message == (
        f"--stage-one {place.out} was trained otherwise: seed was 0, now 1"
    )
    save(tmp_path / "other.npz", [24] * 4, 7)
    data = dataclasses.replace(place.config.data, train=str(tmp_path / "other.npz"))
    config = dataclasses.replace(place.config, data=data)
    message = refused(place, config, place.out, out / "data")
    assert message.endswith("its images or labels were others")
    message = refused(place, place.config, tmp_path, out / "none")
    assert message == f"{tmp_path} holds no run; give the folder of one"
    (tmp_path / "config.json").write_text("[]")
    message = refused(place, place.config, tmp_path, out / "list")
    assert message == f"{tmp_path} holds no run; give the folder of one"
    weights = tmp_path / "weights"
    shutil.copytree(place.out, weights)
    record = json.loads((weights / "config.json").read_text())
    record["run"]["pretrained"] = "feedbeef"
    (weights / "config.json").write_text(json.dumps(record))
    message = refused(place, place.config, weights, out / "weights")
    assert message.endswith("its pretrained weights were others")
    half = tmp_path / "half"
    shutil.copytree(place.out, half)
    shutil.rmtree(half / "checkpoints" / "swa" / "4")
    message = refused(place, place.config, half, out / "half")
    assert message == (
        f"--stage-one {half} has no epochs of swa; it must have finished the 4 of "
        "optim.epochs"
    )


def test_a_copy_that_was_cut_short_is_made_again(place, tmp_path, monkeypatch):
    out = tmp_path / "new"
    config = place.config
    claim.claim(out, config, identity.of_run(config, load(config.data)))
    part = out / "checkpoints" / ".adopting"
    part.mkdir(parents=True)
    (part / "junk").write_text("")
    results = run(place.config, out, quiet(), stage_one=place.out)
    assert "representation" not in results["seconds"]
    found = [file.name for file in (out / "checkpoints" / "sgd").iterdir()]
    assert found == ["4"]
