"""Runs of PaCo with SAM and of a two-token student that it teaches, whole and cut."""

import dataclasses
import json

import jax
import numpy as np
import pytest
import tiny

from ltjax.config import (
    AdamW,
    Augment,
    CifarResNet,
    Classifier,
    CosineThroughout,
    DeitLt,
    Paco,
    Projected,
    Sam,
    Swa,
    Vit,
)
from ltjax.evaluation import diversity
from ltjax.mistake import Mistake
from ltjax.predict import predictor
from ltjax.run import run
from ltjax.runtime.stopping import Stopped
from ltjax.stages import loader, teacher, trained
from ltjax.stages.loading import load
from ltjax.workdir import checkpoint
from ltjax.workdir.rows import Row

pytestmark = pytest.mark.usefixtures("compiled_once")

HEADS = Classifier(methods=("la",), epochs=1, batch_size=16, views=1)
SHORT = {"backbones": ("sgd",), "classifier": HEADS, "checkpoint": tiny.OFTEN}


@pytest.fixture(scope="module")
def paco(tmp_path_factory, thin):
    return tiny.Place(
        tmp_path_factory.mktemp("paco"),
        model=Projected(of=CifarResNet(depth=8, width=4), dim=3),
        objective=Paco(queue=20, temperature=0.2, momentum=0.9),
        optim=Sam(
            rho=(0.1, 0.2),
            rho_epochs=(1,),
            epochs=3,
            batch_size=16,
            lr=0.05,
            warmup_epochs=0,
        ),
        swa=Swa(start=1, every_steps=1, rank=2),
        **SHORT,
    )


@pytest.fixture(scope="module")
def student(paco, tmp_path_factory):
    return tiny.Place(
        tmp_path_factory.mktemp("student"),
        model=Vit(dim=8, depth=1, heads=2, patch=4, image=8, tokens=2, drop_path=0.1),
        objective=DeitLt(teacher=str(paco.out), reweight_epoch=2),
        optim=AdamW(
            lr=1e-3,
            epochs=4,
            warmup_epochs=1,
            batch_size=16,
            accumulate=2,
            sampling="repeated",
            schedule=CosineThroughout(),
        ),
        augment=Augment(zoom=0.5, flip=True, erase=0.5),
        swa=Swa(start=2, every_steps=1, rank=2, lr=1e-4),
        **SHORT,
    )


def stopping(times):
    answers = iter([None] * (times - 1) + [75])
    return lambda: next(answers)


def states(out, name):
    newest = checkpoint.steps(out / "checkpoints" / name)[0]
    return newest, checkpoint.load_as_saved(newest)


@pytest.mark.parametrize("kind", ["paco", "student"])
def test_a_run_that_is_cut_within_an_epoch_has_the_same_bits(
    kind, request, tmp_path, monkeypatch
):
    """In the middle of the queue and of SAM's epochs, of mixing and of an update."""
    place = request.getfixturevalue(kind)
    # Pieces of one step each; those of the undisturbed run grew.
    monkeypatch.setattr(loader.Ruler, "took", lambda self, steps, seconds: None)
    out = tmp_path / "x"
    for times, number in ((2, 0), (3, 1)):
        with pytest.raises(Stopped):
            run(place.config, out, tiny.quiet(), stopping=stopping(times))
        newest, (state, _) = states(out, "sgd")
        assert checkpoint.position(newest) == (number, 2)
        done = 3 * number + 2
        if kind == "paco":
            assert state["memory"]["next"] == 16 * done % 20
        else:
            assert state["opt_state"]["mini_step"] == done % 2
    run(place.config, out, tiny.quiet())
    found, wanted = states(out, "sgd"), states(place.out, "sgd")
    assert found[0].name == wanted[0].name
    pairs = zip(jax.tree.leaves(found[1]), jax.tree.leaves(wanted[1]), strict=True)
    for ours, theirs in pairs:
        assert np.asarray(ours).tobytes() == np.asarray(theirs).tobytes()
    results = json.loads((out / "results.json").read_text())
    assert tiny.timeless(results) == tiny.timeless(place.results)


def test_both_tokens_are_told_alone_and_together(student):
    rows = {
        (row["backbone"], row["classifier"]): row for row in student.results["rows"]
    }
    for name in ("none", "la"):
        assert len(rows["sgd", name]["experts"]) == 2
    seen = predictor.on_images(predictor.of_row(student.out, Row("sgd", "la")))
    with np.load(student.path / "test.npz", allow_pickle=False) as file:
        assert seen(file["image"]).log_probs.shape == (20, tiny.CLASSES)


def test_how_far_apart_tokens_are_is_told(student):
    run = trained.read(student.out, "sgd")
    z = np.asarray(trained.test_features(run))[0].astype(float)
    labels = trained.test_labels(run)
    cosines = (z[:, 0] * z[:, 1]).sum(1)
    cosines /= np.linalg.norm(z[:, 0], axis=1) * np.linalg.norm(z[:, 1], axis=1)
    told = student.read("classes.json")["tokens"]
    assert list(told) == ["sgd"]
    wanted = [cosines[labels == each].mean() for each in range(tiny.CLASSES)]
    np.testing.assert_allclose(told["sgd"]["cosine"], wanted, rtol=1e-5)
    (cls,), (dist,) = told["sgd"]["ranks"]  # of one block
    body = student.config.model.body()
    with np.load(student.path / "test.npz", allow_pickle=False) as file:
        images = run.prepare(file["image"])
    params = {"params": trained.point(run)["features"]}
    after = np.asarray(body.copy(last=2).apply(params, images))
    for token, rank in enumerate((cls, dist)):
        assert rank == diversity.rank(after[:, token])
        assert 1 <= rank <= 8


def test_a_network_without_tokens_has_none_to_tell_of(paco):
    assert "tokens" not in paco.read("classes.json")


def test_weights_of_the_encoder_are_averaged_steps(paco):
    _, (state, _) = states(paco.out, "sgd")
    kernel = state["params"]["head"]["kernel"]
    moving = state["memory"]["encoder"]["head"]["kernel"]
    assert 0 < np.abs(kernel - moving).max() < np.abs(kernel).max()
    assert len(np.unique(state["memory"]["keys"], axis=0)) == 20


def test_the_teacher_answers_for_images_as_they_are_mixed(student, paco):
    """At its own size and in evaluation mode, as its own run predicts."""
    data = load(student.config.data)
    taught = teacher.of_config(student.config, data)
    images = data.test.image
    moments = (paco.results["dataset"]["mean"], paco.results["dataset"]["std"])
    got = taught.teach(taught.params, images, moments)["teacher"]
    wanted = predictor.on_images(predictor.of_row(paco.out, Row("sgd", "none")))
    log_probs = jax.nn.log_softmax(got)
    np.testing.assert_allclose(
        log_probs, wanted(np.asarray(images)).log_probs, rtol=1e-4, atol=1e-5
    )
    large = np.repeat(np.repeat(images, 2, 1), 2, 2).astype(np.float32)
    assert taught.teach(taught.params, large, moments)["teacher"].shape == (20, 4)
    # Other moments are others' pixels, unless the teacher scales them itself.
    other = (np.zeros(1), np.ones(1))
    moved = taught.teach(taught.params, images, other)["teacher"]
    assert np.abs(moved - got).max() > 1e-3
    objective = dataclasses.replace(student.config.objective, own_moments=True)
    own = teacher.of_config(
        dataclasses.replace(student.config, objective=objective), data
    )
    same = own.teach(own.params, images, other)["teacher"]
    np.testing.assert_allclose(same, got, rtol=1e-4, atol=1e-5)


def test_teachers_that_cannot_teach(student, paco, tmp_path):
    data = load(student.config.data)

    def of(path):
        objective = dataclasses.replace(student.config.objective, teacher=str(path))
        return dataclasses.replace(student.config, objective=objective)

    (tmp_path / "half").mkdir()
    config = (paco.out / "config.json").read_text()
    (tmp_path / "half" / "config.json").write_text(config)
    for path, words in (
        (tmp_path / "no", "holds no run; give the folder of one"),
        (tmp_path / "half", "holds a run that is not finished; run its command again"),
        (tmp_path / "no.npz", "is not a file"),
    ):
        with pytest.raises(Mistake, match=f"^objective.teacher: {path}.* {words}"):
            teacher.of_config(of(path), data)
    fewer = dataclasses.replace(data, classes=3)
    with pytest.raises(Mistake, match=r"has dataset\.classes 4; it must be 3, as here"):
        teacher.of_config(student.config, fewer)
