"""A whole run with gates, learnt activations and mixed images, and what it tells."""

import dataclasses

import numpy as np
import pytest
import tiny

from ltjax.config import Aglu, Apa, CifarResNet, Cosine, CrossEntropy, Se
from ltjax.predict import predictor
from ltjax.workdir.rows import Row

pytestmark = pytest.mark.usefixtures("compiled_once")

METHODS = ("iif", "la_posthoc")
PAGES = True


@pytest.fixture(scope="module")
def gated(tmp_path_factory, hastily):
    model = CifarResNet(
        depth=8,
        width=4,
        gate=Se(reduction=2, activation=Apa()),
        activation=Aglu(),
        head=Cosine(scale=16.0, norm="squashed", learnt=True),
    )
    place = tmp_path_factory.mktemp("gated")
    plain = tiny.config_of(place)
    with hastily():
        yield tiny.Place(
            place,
            model=model,
            objective=CrossEntropy(mixup=0.2, cutmix=1.0, smoothing=0.1),
            classifier=dataclasses.replace(plain.classifier, methods=METHODS),
        )


def test_the_rows_are_there(gated):
    rows = {(row["backbone"], row["classifier"]) for row in gated.results["rows"]}
    names = ("none", *METHODS)
    assert {(of, name) for of in ("sgd", "swa") for name in names} <= rows


def test_what_activations_learnt_is_told_and_drawn(gated):
    told = gated.read("classes.json")["activations"]
    assert list(told) == ["sgd", "swa"]
    places = told["swa"]
    assert len(places) == 1 + 3 * 3  # the stem; two layers and a gate of each block
    assert "features/stage2_block1/gate/activation" in places
    assert told["sgd"] != places
    page = (gated.out / "report.html").read_text()
    assert 'id="activations"' in page
    assert "gates of channels" in page


def test_the_finished_run_predicts(gated):
    made = predictor.of_row(gated.out, Row("swa", "iif"))
    with np.load(gated.path / "test.npz", allow_pickle=False) as file:
        seen = predictor.on_images(made)(file["image"])
    log_probs, labels = predictor.on_tests(made)
    assert log_probs.shape == (len(labels), tiny.CLASSES)
    np.testing.assert_allclose(seen.log_probs, log_probs, rtol=1e-3, atol=1e-3)
