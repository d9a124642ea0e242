"""SRepr: re-training on stochastic representations with self-distillation.

Nam, Jang and Lee, ICLR 2023 (arXiv 2304.09426). With z the representation under the SWA
weights and z_m under M draws of the SWAG posterior, all of the same augmented image,

    (1 - alpha) LA(z_m) + alpha KD(teacher: all G(z_m) -> student: G(z))

where LA is the logit-adjusted cross entropy, averaged over the members, and the teacher
is a constant. At test one deterministic pass, G(z). alpha = 0 is the paper's variant
(b).

The paper's text leaves open which logits the distillation sees. Here both sides are
adjusted by the log prior: on long-tailed images the raw logits of a head trained with
logit adjustment lean to the tail, and distilling them from a live teacher feeds that
lean back until the head collapses.
"""

import itertools

import jax.numpy as jnp

from ltjax.classifier import logit_adjustment
from ltjax.classifier.linear import init, logits
from ltjax.classifier.logit_adjustment import seen_only
from ltjax.classifier.method import AUTO, Candidate, Choice, Head, tau_of
from ltjax.losses import (
    cross_entropy,
    dirichlet_distillation,
    log_prior,
    mean_distillation,
)

__all__ = [
    "AFFINE",
    "DRAWS",
    "JOINT",
    "TITLE",
    "grid",
    "heads",
    "init",
    "logits",
    "loss",
    "power",
]

TITLE = "SRepr"
AFFINE = JOINT = DRAWS = True


def loss(
    params,
    mean_features,
    member_features,
    labels,
    counts,
    *,
    alpha,
    temperature,
    form,
    on="members",
    tau=1.0,
):
    """Loss per example [B] from mean_features [B, D] and member_features [M, B, D].

    `form` is "mean" (distils the mean softmax at `temperature`) or "dirichlet" (distils
    a Dirichlet fitted to the members; it has no temperature). `on` says where the
    logit-adjusted cross entropy is taken: "members", "mean" or "both"; `tau` is its
    strength.
    """
    prior = tau * log_prior(counts)
    student = logits(params, mean_features) + prior[None]
    members = logits(params, member_features) + prior[None, None]

    on_mean = cross_entropy(student, labels)
    every = jnp.broadcast_to(labels, members.shape[:-1])
    on_members = cross_entropy(members, every).mean(0)
    if on == "members":
        hard = on_members
    elif on == "mean":
        hard = on_mean
    elif on == "both":
        hard = (on_mean + on_members) / 2
    else:
        raise ValueError(f"on is {on!r}, not 'members', 'mean' or 'both'")

    if form == "mean":
        soft = mean_distillation(members, student, temperature)
    elif form == "dirichlet":
        soft = dirichlet_distillation(members, student)
    else:
        raise ValueError(f"form is {form!r}, not 'mean' or 'dirichlet'")
    return (1 - alpha) * hard + alpha * soft


def power(plain, tau):
    """As of LA, as far as the draws agree."""
    return 1.0 - tau


def heads(given):
    """The paper's steps: (c) in the configured form, (b), and (c) in the other form.

    The first is the headline, under its own name too; where alpha is "auto" it is one
    of the `grid`, and the other form, for which nobody names an alpha, is left out.
    Nothing without draws.
    """
    if not given.draws:
        return {}
    chosen = given.settings.srepr
    form, other = chosen.form, "dirichlet" if chosen.form == "mean" else "mean"

    def head(alpha, form, on, *variants):
        made = _head(given, alpha, chosen.temperature, form, on)
        return made._replace(variants=variants, averaged="" in variants)

    auto = chosen.alpha == AUTO
    alpha = 0.0 if auto else chosen.alpha
    first = head(alpha, form, chosen.on, "", f"c-{form}")
    if auto:
        first = first._replace(loss=None, choice=_choice(given))
    made = [first, head(0.0, form, "members", "b")]
    if not auto:
        made.append(head(alpha, other, chosen.on, f"c-{other}"))
    return {each.variants[-1]: each for each in made}


def grid(form):
    """Weights and temperatures of which "auto" takes one: (alpha, temperature), 12.

    Without distillation, too. The form "dirichlet" has no temperature, and 10 weights.
    Of "mean" 0.8 at 4 is left out, where next to nothing is left of the labels.
    """
    if form == "dirichlet":
        return [(weight / 10, 1.0) for weight in range(10)]
    pairs = itertools.product((0.2, 0.4, 0.6, 0.8), (1.0, 2.0, 4.0))
    return [(0.0, 1.0), *(pair for pair in pairs if pair != (0.8, 4.0))]


def _choice(given):
    """The `grid` as candidates; none is to be less accurate than LA."""
    chosen = given.settings.srepr
    every = tuple(
        Candidate(
            {"alpha": alpha, "temperature": temperature},
            _head(given, alpha, temperature, chosen.form, chosen.on),
        )
        for alpha, temperature in grid(chosen.form)
    )
    return Choice(
        every, logit_adjustment.head(given, _tau(given)), logit_adjustment.TITLE
    )


def _head(given, alpha, temperature, form, on):
    """The head of one weight and temperature; `given` says where it begins."""

    def distilled(params, z, y):
        return loss(
            params,
            z[0],
            z[1:],
            y,
            given.counts,
            alpha=alpha,
            temperature=temperature,
            form=form,
            on=on,
            tau=_tau(given),
        )

    of_stage_one = given.settings.srepr.head == "stage_one"
    first = given.head if of_stage_one else given.new
    return Head(first, seen_only(given.counts), distilled, draws=True)


def _tau(given):
    return tau_of(given.settings.tau)
