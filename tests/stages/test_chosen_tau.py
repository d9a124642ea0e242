"""Strengths of logit adjustment and tau-normalisation that a run has chosen."""

import dataclasses

import numpy as np
import pytest
from scipy.special import log_softmax
from tiny import OFTEN, Place, config_of

from ltjax.classifier import la_posthoc, logit_adjustment, tau_norm
from ltjax.config import Classifier, Srepr, limits
from ltjax.mistake import Mistake
from ltjax.report import table
from ltjax.stages import kept, prior, trained
from ltjax.stages.loading import load
from ltjax.workdir import rows
from ltjax.workdir.rows import Row

pytestmark = pytest.mark.usefixtures("thin")

TAUS, EXPONENTS = (0.5, 1.0, 3.0), (0.0, 0.4, 1.0)
CHOSEN = ("la", "la_posthoc", "tau_norm")


@pytest.fixture(scope="module")
def place(tmp_path_factory, thin):
    """A finished run that has chosen; not to be changed."""
    settings = Classifier(
        methods=("tau_norm", "la_posthoc", "la", "srepr"),
        epochs=2,
        batch_size=16,
        views=1,
        tau="auto",
        tau_norm="auto",
        srepr=Srepr(alpha=0.5),
    )
    path = tmp_path_factory.mktemp("chosen")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logit_adjustment, "TAUS", TAUS)
        patch.setattr(la_posthoc, "TAUS", TAUS)
        patch.setattr(tau_norm, "EXPONENTS", EXPONENTS)
        data = config_of(path, imbalance_factor=6, validation=0.2).data
        yield Place(path, data=data, classifier=settings, checkpoint=OFTEN)


def held_out(place, made):
    """NLL and accuracy in percent of logits(features), each class weighing the same."""
    features = np.asarray(kept.features(place.out, "swa", "validation")[0], float)
    labels = load(place.config.data).validation.label
    log_probs = log_softmax(made(features), -1)
    nll = -log_probs[np.arange(len(labels)), labels]
    right = 100.0 * (log_probs.argmax(-1) == labels)
    each = [labels == c for c in np.unique(labels)]
    return tuple(np.mean([of[c].mean() for c in each]) for of in (nll, right))


def stage_one(place):
    head = kept.head(place.out, "swa", "swa-none")
    return np.asarray(head["kernel"], float), np.asarray(head["bias"], float)


def test_post_hoc_is_the_best_of_its_candidates_by_the_formula(place):
    kernel, bias = stage_one(place)
    counts = np.bincount(load(place.config.data).train.label, minlength=4)
    found = [
        held_out(place, lambda z, t=tau: z @ kernel + bias - t * np.log(counts))
        for tau in TAUS
    ]
    named = rows.named(place.results)
    told = named[Row("swa", "la_posthoc")]["choice"]
    for each, (nll, acc), tau in zip(told["candidates"], found, TAUS):
        assert each["tau"] == tau
        assert each["nll"] == pytest.approx(nll, rel=1e-5)
        assert each["acc"] == pytest.approx(acc)
    assert told["bar"]["title"] == "tau 1"
    assert told["bar"]["acc"] == pytest.approx(found[1][1])
    fine = [at for at in range(3) if found[at][1] >= found[1][1]]
    best = min(fine, key=lambda at: found[at][0])
    assert told["tau"] == TAUS[best]
    # The row is of it, on test images, too.
    run = trained.read(place.out)
    logits, params = trained.logits(run, "la_posthoc")
    z = np.asarray(trained.test_features(run)[0], float)
    wanted = z @ kernel + bias - told["tau"] * np.log(counts)
    found = log_softmax(np.asarray(logits(params, z), float), -1)
    np.testing.assert_allclose(found, log_softmax(wanted, -1), rtol=1e-4, atol=1e-4)


def test_the_exponent_is_that_of_the_lowest_nll_of_those_accurate_enough(place):
    kernel, _ = stage_one(place)
    norms = np.linalg.norm(kernel, axis=0)
    told = rows.named(place.results)[Row("swa", "tau_norm")]["choice"]
    found = [held_out(place, lambda z, t=t: z @ (kernel / norms**t)) for t in EXPONENTS]
    for each, (nll, acc) in zip(told["candidates"], found):
        assert each["nll"] == pytest.approx(nll, rel=1e-5)
        assert each["acc"] == pytest.approx(acc)
    fine = [at for at in range(3) if found[at][1] >= found[2][1]]
    best = min(fine, key=lambda at: found[at][0])
    assert told["tau"] == EXPONENTS[best]
    kept_one = kept.head(place.out, "swa", "swa-tau_norm")["kernel"]
    np.testing.assert_allclose(kept_one, kernel / norms ** told["tau"], rtol=1e-5)


def test_srepr_and_its_row_are_those_of_tau_1(place):
    named = rows.named(place.results)
    assert "choice" not in named[Row("swa", "srepr")]
    assert {row.classifier for row, of in named.items() if "choice" in of} == {*CHOSEN}
    # As a run of tau 1 on the same features would have it.
    settings = dataclasses.replace(place.config.classifier, tau=1.0)
    stored = trained.held(place.out, "swa", place.config, load(place.config.data))
    made = trained.heads(stored, settings)["srepr", "c-mean"]
    again = trained.refit(stored, made, settings, trained.views(stored))
    learned = trained.params(stored, "srepr", "c-mean")
    np.testing.assert_allclose(again["kernel"], learned["kernel"], rtol=1e-4, atol=1e-5)


def test_the_prior_of_a_row_is_that_of_the_tau_it_has(place):
    named, counts = rows.named(place.results), np.array([20, 11, 6, 4])
    for tau in (0.5, 3.0):
        line = {**named[Row("swa", "la")], "choice": {"tau": tau}}
        figures = {**named, Row("swa", "la"): line}
        wanted = counts ** (1.0 - tau) / (counts ** (1.0 - tau)).sum()
        for backbone in ("swa", "swag"):  # draws go through the same head
            row = Row(backbone, "la")
            found, _ = prior.assumed(place.config, row, counts, figures)
            np.testing.assert_allclose(found, wanted)
    found, _ = prior.assumed(place.config, Row("swa", "srepr"), counts, named)
    np.testing.assert_allclose(found, 1 / 4)


def test_it_is_told_what_was_chosen(place):
    for method in CHOSEN:
        line = rows.named(place.results)[Row("swa", method)]
        assert f": τ {line['choice']['tau']:g}, of 3 on" in table.choice(line)


@pytest.mark.parametrize("name", ["tau", "tau_norm"])
def test_a_choice_needs_images_to_choose_on(place, name):
    settings = Classifier(**{name: "auto"})
    config = dataclasses.replace(config_of(place.out), classifier=settings)
    with pytest.raises(Mistake, match=rf"classifier\.{name} is 'auto', .*validation"):
        limits.check(config)
