"""Which candidate is taken, and what SRepr's candidates are."""

import dataclasses

import numpy as np
import pytest

from ltjax.classifier import choice, heads, srepr
from ltjax.config import Classifier, Srepr

RNG = np.random.default_rng(0)
COUNTS = np.array([30, 9, 4])


def by_hand(nll, accuracy, bar):
    """The best, of all pairs compared with each other."""
    known = [at for at, value in enumerate(nll) if np.isfinite(value)]
    right = [at for at in known if accuracy[at] >= bar]
    if not right:
        top = max(accuracy[at] for at in known)
        right = [at for at in known if accuracy[at] == top]
    return min(right, key=lambda at: (nll[at], -accuracy[at], at))


@pytest.mark.parametrize("case", range(40))
def test_the_best_is_that_of_the_rule(case):
    rng = np.random.default_rng(case)
    nll = rng.integers(0, 4, 6).astype(float)
    nll[rng.random(6) < 0.2] = [np.nan, np.inf][case % 2]
    nll[case % 6] = 1.0
    accuracy, bar = rng.integers(0, 4, 6), float(rng.integers(0, 5))
    assert choice.best(nll, accuracy, bar) == by_hand(nll, accuracy, bar)


def test_without_a_finite_nll_there_is_no_best():
    with pytest.raises(ValueError, match="one has to be finite"):
        choice.best([np.nan, np.inf], [0.1, 0.2], 0.0)


@pytest.mark.parametrize("form", ["mean", "dirichlet"])
def test_the_grid_has_at_most_12_and_no_distillation_among_them(form):
    grid = srepr.grid(form)
    assert len(set(grid)) == len(grid) <= 12
    assert grid[0] == (0.0, 1.0)
    assert all(0 <= alpha < 1 and temperature > 0 for alpha, temperature in grid)


def made(settings, head, draws=True):
    import jax

    settings = dataclasses.replace(
        Classifier(), methods=("la", "srepr"), srepr=settings
    )
    return heads.of_methods(settings, jax.random.key(0), head, None, COUNTS, draws)


def linear(*lead):
    kernel = RNG.normal(size=(*lead, 5, 3)).astype(np.float32)
    return {"kernel": kernel, "bias": np.zeros((*lead, 3), np.float32)}


@pytest.mark.parametrize("lead", [(), (2,)], ids=["one", "experts"])
@pytest.mark.parametrize("form", ["mean", "dirichlet"])
def test_a_candidate_is_the_head_of_its_settings(lead, form):
    head = linear(*lead)
    of = made(Srepr(alpha="auto", form=form), head)
    assert list(of) == [
        ("none", ""),
        ("la", ""),
        ("srepr", f"c-{form}"),
        ("srepr", "b"),
    ]
    found = of["srepr", f"c-{form}"]
    assert found.loss is None
    assert found.variants == ("", f"c-{form}")
    assert found.averaged
    assert found.choice.bar_title == "LA"
    z = RNG.normal(size=(4, 6, *lead, 5)).astype(np.float32)
    labels = RNG.integers(0, 3, 6)
    np.testing.assert_array_equal(
        found.choice.bar.loss(head, z, labels), of["la", ""].loss(head, z, labels)
    )
    assert [tuple(each.settings.values()) for each in found.choice.candidates] == (
        srepr.grid(form)
    )
    for each in found.choice.candidates[:5]:
        fixed = made(Srepr(form=form, **each.settings), head)["srepr", f"c-{form}"]
        assert fixed.choice is None
        np.testing.assert_array_equal(
            each.head.loss(head, z, labels), fixed.loss(head, z, labels)
        )
        np.testing.assert_array_equal(
            each.head.params["kernel"], fixed.params["kernel"]
        )


def test_without_draws_there_is_nothing_to_choose():
    assert list(made(Srepr(alpha="auto"), linear(), draws=False)) == [
        ("none", ""),
        ("la", ""),
    ]
