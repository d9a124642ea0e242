"""What every method has, so that one is put in another's place."""

from types import ModuleType, SimpleNamespace

import jax
import numpy as np
import pytest

from ltjax.classifier import METHODS, NONE, PREFERRED, heads, linear, ncm
from ltjax.classifier.method import Given, Head
from ltjax.posterior.predictive import mean_log_probs

RNG = np.random.default_rng(0)
COUNTS = np.array([9, 4, 0, 2])
LABELS = np.repeat(np.arange(4), COUNTS)
Z = RNG.normal(size=(3, len(LABELS), 5)).astype(np.float32)  # the mean and two draws
HEAD = {
    "kernel": RNG.normal(size=(5, 4)).astype(np.float32),
    "bias": RNG.normal(size=4).astype(np.float32),
}
# Any object with these attributes, not only a config.
SETTINGS = SimpleNamespace(
    methods=tuple(METHODS),
    experts="alone",
    tau=1.0,
    tau_norm=1.0,
    iif="rel",
    rho=1.2,
    srepr=SimpleNamespace(
        alpha=0.5, temperature=2.0, form="mean", on="members", head="new"
    ),
)
GIVEN = Given(
    head=HEAD,
    new=linear.init(jax.random.key(0), 5, 4),
    means=ncm.init(Z[0], LABELS, 4),
    counts=COUNTS,
    draws=True,
    settings=SETTINGS,
)
every = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)


def test_one_order_has_them_all():
    assert sorted(PREFERRED) == sorted([*METHODS, NONE])
    assert PREFERRED[-1] == NONE  # which every run has
    titles = [method.TITLE for method in METHODS.values()]
    assert len(set(titles)) == len(titles)


@every
def test_heads_are_in_one_form(method):
    made = method.heads(GIVEN)
    assert made
    shown = [name for head in made.values() for name in head.variants]
    assert shown.count("") == 1
    assert len(set(shown)) == len(shown)
    for variant, head in made.items():
        assert variant in head.variants
        assert head.logits(head.params, Z[0]).shape == (len(LABELS), 4)
        if head.loss:
            seen = Z if head.draws else Z[:1]
            assert head.loss(head.params, seen, LABELS).shape == LABELS.shape


@every
def test_a_method_that_needs_draws_makes_nothing_without_them(method):
    made = method.heads(GIVEN._replace(draws=False))
    assert bool(made) != method.DRAWS
    looks = [head.draws for head in method.heads(GIVEN).values()]
    assert looks == [method.DRAWS] * len(looks)


@every
def test_affine_is_what_has_no_bend(method):
    one, other = 10 * Z[:2]
    for head in method.heads(GIVEN).values():
        # Away from where DisAlign begins: there its gate does nothing.
        moved = {"v": Z[0, 0], "beta": HEAD["bias"]}
        params = {name: moved.get(name, leaf) for name, leaf in head.params.items()}
        bend = (
            head.logits(params, one)
            + head.logits(params, other)
            - head.logits(params, one + other)
            - head.logits(params, 0 * one)
        )
        seen = np.asarray(bend)[:, COUNTS > 0]
        assert (np.abs(seen).max() < 1e-3) == method.AFFINE


@every
def test_joint_is_a_linear_classifier_with_a_loss(method):
    for head in method.heads(GIVEN).values():
        learns = head.loss is not None and set(head.params) == {"kernel", "bias"}
        assert learns == method.JOINT


@every
def test_a_prior_is_a_number_or_none(method):
    for plain in (None, 0.0, 1.0):
        power = method.power(plain, SETTINGS.tau)
        assert power is None or isinstance(power, float)


def test_rows_are_those_of_the_methods():
    made = heads.of_methods(
        SETTINGS, jax.random.key(0), HEAD, GIVEN.means, COUNTS, draws=True
    )
    assert list(made) == [
        (NONE, ""),
        *((name, v) for name, method in METHODS.items() for v in method.heads(GIVEN)),
    ]
    for (name, variant), head in made.items():
        if name != NONE:
            own = METHODS[name].heads(GIVEN)[variant]
            jax.tree.map(np.testing.assert_array_equal, head.params, own.params)
    bare = heads.of_methods(
        SETTINGS, jax.random.key(0), HEAD, GIVEN.means, COUNTS, draws=False
    )
    assert {name for name, _ in made} - {name for name, _ in bare} == {"srepr"}


def test_a_method_of_ones_own_is_a_row_like_any_other(monkeypatch):
    mine = ModuleType("mine")
    mine.TITLE, mine.AFFINE, mine.JOINT, mine.DRAWS = "Mine", True, False, False
    mine.power = lambda plain, settings: plain
    mine.heads = lambda given: {"": Head(given.head, linear.logits)}
    monkeypatch.setitem(METHODS, "mine", mine)
    settings = SimpleNamespace(methods=("mine",), experts="together")
    key = jax.random.key(0)
    made = heads.of_methods(settings, key, HEAD, None, COUNTS, False)
    assert list(made) == [(NONE, ""), ("mine", "")]
    two = jax.tree.map(lambda leaf: np.stack([leaf, 2 * leaf]), HEAD)
    head = heads.of_methods(settings, key, two, None, COUNTS, False)["mine", ""]
    found = head.logits(head.params, Z[0][:, None].repeat(2, 1))
    np.testing.assert_allclose(
        found, 1.5 * (Z[0] @ HEAD["kernel"] + HEAD["bias"]), 1e-4
    )


def test_log_probabilities_of_one_pass_and_of_every_draw():
    logits = np.stack([linear.logits(HEAD, z) for z in Z])
    one = heads.one_pass(linear.logits, HEAD)(Z[:1])
    np.testing.assert_allclose(one, jax.nn.log_softmax(logits[0]), rtol=1e-6)
    mean = heads.every_draw(linear.logits, HEAD)(Z[1:])
    np.testing.assert_allclose(mean, mean_log_probs(logits[1:]), rtol=1e-6)
