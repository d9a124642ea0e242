"""Standard errors: against formulas, and against a bootstrap written out."""

import numpy as np
import pytest

from ltjax.evaluation import bootstrap, ece
from ltjax.evaluation.bootstrap import standard_errors


def draw(count, seed=0):
    rng = np.random.default_rng(seed)
    confidence = rng.uniform(0.2, 1.0, count)
    right = rng.random(count) < confidence**2
    return rng.gamma(2.0, 0.3, count), confidence, right


@pytest.mark.parametrize("count", [50, 740, 5000])
def test_means_have_the_error_of_a_mean(count):
    nll, confidence, right = draw(count)
    found = standard_errors(nll, confidence, right, draws=2000)
    for name, values in (("nll", nll), ("acc", 100 * right)):
        wanted = values.std() / np.sqrt(count)
        assert found[name] == pytest.approx(wanted, rel=0.07)  # 2000 draws: 1.6 %


def test_the_ece_is_that_of_every_draw():
    nll, confidence, right = draw(200)
    found = standard_errors(nll, confidence, right, draws=30, seed=5)
    rng, figures = np.random.default_rng(5), []
    for _ in range(30):
        rows = rng.integers(0, 200, 200)
        gaps = (right[rows] - confidence[rows]).astype(float)
        place = np.ceil(confidence[rows].astype(np.float32) * np.float32(15)) - 1
        figures.append(sum(abs(gaps[place == b].sum()) for b in np.unique(place)) / 200)
    assert found["ece"] == pytest.approx(np.std(figures, ddof=1), rel=1e-3)


def test_the_ece_of_a_draw_is_the_package_s():
    _, confidence, right = draw(300)
    confidence = 0.5 + confidence / 2
    probs = np.stack([1 - confidence, confidence], -1).astype(np.float32)
    labels = np.where(right, 1, 0)
    place = np.asarray(bootstrap.confidence_bin(probs.max(-1), 15))
    found = bootstrap._ece(right - probs.max(-1).astype(float), place) / 300
    assert found == pytest.approx(float(ece(probs, labels)), rel=1e-5)


def test_the_same_images_have_the_same_errors_and_certain_ones_none():
    nll, confidence, right = draw(100)
    assert standard_errors(nll, confidence, right) == standard_errors(
        nll, confidence, right
    )
    sure = standard_errors(np.zeros(9), np.ones(9), np.ones(9))
    assert sure == {"acc": 0.0, "nll": 0.0, "ece": 0.0}


def test_of_one_image_and_of_what_is_not_finite_there_is_none():
    none = {"acc": None, "nll": None, "ece": None}
    assert standard_errors([1.0], [0.5], [True]) == none
    assert standard_errors([], [], []) == none
    nll, confidence, right = draw(20)
    nll[3] = np.inf
    found = standard_errors(nll, confidence, right)
    assert found["nll"] is None
    assert found["acc"] > 0
