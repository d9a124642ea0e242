import jax
import numpy as np
import pytest
from scipy.special import digamma, gammaln, log_softmax, softmax

from ltjax.classifier import logit_adjustment, srepr

RNG = np.random.default_rng(3)
COUNTS = np.array([90, 8, 25, 4])
PRIOR = np.log(COUNTS / COUNTS.sum())
LABELS = np.array([0, 0, 2, 3, 0, 1])
HEAD = {
    "kernel": RNG.normal(size=(5, 4)).astype(np.float32),
    "bias": RNG.normal(size=4).astype(np.float32),
}
MEAN = RNG.normal(size=(6, 5)).astype(np.float32)
MEMBERS = (MEAN + 0.3 * RNG.normal(size=(3, 6, 5))).astype(np.float32)

DEFAULTS = {"alpha": 0.4, "temperature": 2.0, "form": "mean"}


def losses(params, members, **settings):
    return srepr.loss(params, MEAN, members, LABELS, COUNTS, **settings)


def mean_loss(params, members, **settings):
    return losses(params, members, **settings).mean()


compiled = jax.jit(losses, static_argnames=("form", "on"))
gradient = jax.jit(jax.grad(mean_loss), static_argnames="form")


def found(members=MEMBERS, **settings):
    return compiled(HEAD, members, **{**DEFAULTS, **settings})


def adjusted(params, features):
    params = jax.tree.map(np.float64, params)
    logits = features.astype(np.float64) @ params["kernel"] + params["bias"]
    return logits + PRIOR


def cross_entropy(logits):
    return -log_softmax(logits, -1)[..., np.arange(6), LABELS]


def divergence_of_means(teacher, student, temperature):
    p = softmax(teacher / temperature, -1).mean(0)
    log_q = log_softmax(student / temperature, -1)
    return temperature**2 * (p * (np.log(p) - log_q)).sum(-1)


def divergence_of_dirichlets(teacher, student):
    log_p = log_softmax(teacher, -1)
    mean = np.exp(log_p).mean(0)
    spread = (mean * (np.log(mean) - log_p.mean(0))).sum(-1)
    precision = 3 / (2 * spread)
    b = mean * precision[:, None] + 1
    a = np.exp(student) + 1
    a0, b0 = a.sum(-1), b.sum(-1)
    between = gammaln(a0) - gammaln(b0) + (gammaln(b) - gammaln(a)).sum(-1)
    between += ((a - b) * (digamma(a) - digamma(a0)[:, None])).sum(-1)
    return between / precision


def reference(params, teacher_params, alpha, temperature, form, on="members"):
    student, members = adjusted(params, MEAN), adjusted(params, MEMBERS)
    teacher = adjusted(teacher_params, MEMBERS)
    on_mean, on_members = cross_entropy(student), cross_entropy(members).mean(0)
    hard = {
        "mean": on_mean,
        "members": on_members,
        "both": (on_mean + on_members) / 2,
    }[on]
    soft = (
        divergence_of_means(teacher, student, temperature)
        if form == "mean"
        else divergence_of_dirichlets(teacher, student)
    )
    return (1 - alpha) * hard + alpha * soft


@pytest.mark.parametrize("form", ["mean", "dirichlet"])
@pytest.mark.parametrize(("alpha", "temperature"), [(0.0, 1.0), (0.4, 2.0), (1.0, 4.0)])
def test_loss_matches_numpy(form, alpha, temperature):
    settings = {"alpha": alpha, "temperature": temperature, "form": form}
    wanted = reference(HEAD, HEAD, **settings)
    np.testing.assert_allclose(found(**settings), wanted, rtol=5e-5, atol=1e-6)


@pytest.mark.parametrize("on", ["members", "mean", "both"])
def test_where_the_hard_labels_are_learnt_from(on):
    settings = {"alpha": 0.4, "temperature": 2.0, "form": "mean", "on": on}
    wanted = reference(HEAD, HEAD, **settings)
    np.testing.assert_allclose(found(**settings), wanted, rtol=2e-5)


def test_logits_are_raw_and_of_one_pass():
    wanted = adjusted(HEAD, MEAN) - PRIOR
    np.testing.assert_allclose(srepr.logits(HEAD, MEAN), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("form", ["mean", "dirichlet"])
def test_alpha_zero_is_logit_adjustment_averaged_over_the_draws(form):
    each = [logit_adjustment.loss(HEAD, member, LABELS, COUNTS) for member in MEMBERS]
    wanted = np.mean(each, axis=0)
    np.testing.assert_allclose(found(alpha=0.0, form=form), wanted, rtol=1e-5)


def test_draws_equal_to_the_mean_leave_nothing_to_distil():
    members = np.stack([MEAN, MEAN, MEAN])
    np.testing.assert_allclose(found(members, alpha=1.0), 0, atol=1e-6)
    settings = {**DEFAULTS, "alpha": 1.0}
    for leaf in jax.tree.leaves(gradient(HEAD, members, **settings)):
        np.testing.assert_allclose(leaf, 0, atol=1e-6)


@pytest.mark.parametrize("form", ["mean", "dirichlet"])
@pytest.mark.parametrize("alpha", [1.0, 0.4])
def test_gradient_holds_the_teacher_fixed(form, alpha):
    settings = {"alpha": alpha, "temperature": 2.0, "form": form}
    slopes = gradient(HEAD, MEMBERS, **settings)
    start = jax.tree.map(np.float64, HEAD)
    for name in ("kernel", "bias"):
        wanted = np.zeros_like(start[name])
        for place in np.ndindex(wanted.shape):
            ends = []
            for move in (1e-5, -1e-5):
                moved = start[name].copy()
                moved[place] += move
                params = {**start, name: moved}
                ends.append(reference(params, start, **settings).mean())
            wanted[place] = (ends[0] - ends[1]) / 2e-5
        np.testing.assert_allclose(slopes[name], wanted, rtol=1e-3, atol=2e-6)


@pytest.mark.parametrize("form", ["mean", "dirichlet"])
def test_the_draws_have_no_order(form):
    again = found(MEMBERS[[2, 0, 1]], form=form)
    np.testing.assert_allclose(again, found(form=form), rtol=1e-5)


def test_an_unknown_form_or_place_is_refused():
    with pytest.raises(ValueError, match=r"form is 'sharp', not 'mean' or 'dirichlet'"):
        found(form="sharp")
    with pytest.raises(ValueError, match=r"on is 'draws', not 'members', 'mean' or"):
        found(on="draws")
