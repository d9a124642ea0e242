"""What each row of the table is: how its classifier begins, sees and learns."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from ltjax.classifier import (
    crt,
    disalign,
    linear,
    logit_adjustment,
    lws,
    ncm,
    srepr,
    tau_norm,
)
from ltjax.classifier.ncm import ABSENT
from ltjax.posterior.predictive import mean_log_probs

# What learns a linear classifier: of several experts, alone or together.
LINEAR = ("crt", "la", "srepr")


class Head(NamedTuple):
    """How one row of the table is made."""

    params: dict  # before training; final where nothing is trained
    logits: Callable  # logits(params, features [B, D]) -> [B, C]
    loss: Callable | None = None  # loss(params, features [M + 1, B, D], labels [B])
    sampling: str = "instance"
    draws: bool = False  # whether the loss looks beyond the mean, features[0]
    variants: tuple = ("",)  # names of its row; "" is the headline of a classifier
    averaged: bool = False  # whether its mean over the draws is a row, SWAG's
    whole: bool = False  # in that row each draw has its own head, that of stage one
    experts: tuple = ()  # the recipes of the experts it is made of, if of any


def of_classifiers(settings, key, head, means, counts, has_draws):
    """A `Head` for each (classifier, variant) of a backbone, in the table's order.

    `head` is the linear classifier of stage one, `means` what `class_means` makes of
    the plain training images under the mean weights. `settings` is the `classifier`
    part of a config. SRepr needs draws and is left out without them. Of E experts,
    where leaves of `head` and `means` have a leading axis E, they are `per_expert`, and
    learn as `settings.experts` says. `counts` [C] are the training images per class.
    """
    parts = settings, counts, has_draws
    if head["kernel"].ndim == 2:
        return _of_one(key, head, means, *parts)
    experts = len(head["kernel"])
    keys = jax.random.split(jax.random.clone(key), experts)
    single = [
        _of_one(key, *_at((head, means), expert), *parts)
        for expert, key in enumerate(keys)
    ]
    found = {}
    for row in single[0]:
        joint = settings.experts == "together" and row[0] in LINEAR
        make_loss = _loss_of_mean if joint else _sum_of_losses
        found[row] = per_expert([rows[row] for rows in single], make_loss)
    return found


def none(head):
    """The recipe of no re-training: the linear `head` of stage one, or E of them."""
    if head["kernel"].ndim == 2:
        return Head(head, linear.logits, averaged=True, whole=True)
    experts = range(len(head["kernel"]))
    return per_expert([none(_at(head, expert)) for expert in experts])


def class_means(settings, features, labels, classes):
    """What NCM learns of features [N, D], or of each expert's of features [N, E, D].

    None where it is not among the methods of `settings`, a `classifier` config.
    """
    if "ncm" not in settings.methods:
        return None
    if features.ndim == 2:
        return ncm.init(features, labels, classes)
    experts = range(features.shape[1])
    every = [ncm.init(features[:, expert], labels, classes) for expert in experts]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *every)


def _sum_of_losses(recipes):
    """Each classifier's gradient is then its own: it learns as it would alone."""

    def loss(params, features, labels):
        return sum(
            recipe.loss(_at(params, expert), features[..., expert, :], labels)
            for expert, recipe in enumerate(recipes)
        )

    return loss


def _loss_of_mean(recipes):
    """E times the loss of the mean logits, of linear classifiers.

    Each takes the steps that it would take alone if its error were that of the mean.
    """

    def loss(params, features, labels):
        # Experts side by side are one linear classifier: features and kernels in a row.
        mean = {
            "kernel": jnp.concatenate(params["kernel"]) / len(recipes),
            "bias": params["bias"].mean(0),
        }
        features = features.reshape(*features.shape[:-2], -1)
        return len(recipes) * recipes[0].loss(mean, features, labels)

    return loss


def per_expert(recipes, make_loss=_sum_of_losses):
    """The recipe of E experts, each with a classifier of its own: those of `recipes`.

    Features are [..., E, D], leaves of the parameters have a leading axis E. Logits are
    the mean over experts. `make_loss(recipes)` gives the loss, where there is one.
    """
    first = recipes[0]

    def logits(params, features):
        every = [
            recipe.logits(_at(params, expert), features[..., expert, :])
            for expert, recipe in enumerate(recipes)
        ]
        return sum(every) / len(every)

    params = [recipe.params for recipe in recipes]
    return first._replace(
        params=jax.tree.map(lambda *leaves: jnp.stack(leaves), *params),
        logits=logits,
        loss=first.loss and make_loss(recipes),
        experts=tuple(recipes),
    )


def _at(tree, expert):
    return jax.tree.map(lambda leaf: leaf[expert], tree)


def _of_one(key, head, means, settings, counts, has_draws):
    """The recipes of one classifier of features [N, D]."""
    dim, classes = head["kernel"].shape

    def new_head():
        return linear.init(jax.random.clone(key), dim, classes)

    # The adjusted loss leaves a class without training images where it began, and its
    # raw logit would compete: it is lowered, as LA post-hoc does.
    unseen = jnp.where(jnp.asarray(counts) > 0, 0.0, ABSENT)

    def seen_only(logits):
        return lambda params, z: logits(params, z) + unseen[None]

    found = {("none", ""): none(head)}
    for method in settings.methods:
        if method == "crt":
            recipe = Head(
                new_head(),
                crt.logits,
                lambda params, z, y: crt.loss(params, z[0], y),
                sampling="class",
            )
        elif method == "lws":
            recipe = Head(
                lws.init(classes),
                lambda params, z: lws.logits(params, z, head),
                lambda params, z, y: lws.loss(params, z[0], y, head),
                sampling="class",
            )
        elif method == "tau_norm":
            recipe = Head(tau_norm.init(head, settings.tau_norm), tau_norm.logits)
        elif method == "ncm":
            recipe = Head(means, ncm.logits)
        elif method == "la_posthoc":
            recipe = Head(
                head,
                lambda params, z: logit_adjustment.posthoc(
                    params, z, counts, settings.tau
                ),
            )
        elif method == "la":
            recipe = Head(
                new_head(),
                seen_only(logit_adjustment.logits),
                lambda params, z, y: logit_adjustment.loss(
                    params, z[0], y, counts, settings.tau
                ),
                averaged=True,
            )
        elif method == "disalign":
            recipe = Head(
                disalign.init(dim, classes),
                lambda params, z: disalign.logits(params, z, head),
                lambda params, z, y: disalign.loss(
                    params, z[0], y, head, counts, settings.rho
                ),
            )
        elif method == "srepr" and has_draws:
            first = head if settings.srepr.head == "stage_one" else new_head()
            found |= _srepr(settings, first, seen_only(srepr.logits), counts)
            continue
        else:
            continue
        found[method, ""] = recipe
    return found


def _srepr(settings, first, logits, counts):
    """SRepr's steps: (c) in the configured form, (b), and (c) in the other form.

    The first is the headline, under its own name too.
    """
    chosen = settings.srepr

    def recipe(alpha, form, on, *variants):
        def loss(params, z, y):
            return srepr.loss(
                params,
                z[0],
                z[1:],
                y,
                counts,
                alpha=alpha,
                temperature=chosen.temperature,
                form=form,
                on=on,
                tau=settings.tau,
            )

        averaged = "" in variants
        return Head(
            first, logits, loss, draws=True, variants=variants, averaged=averaged
        )

    form, other = chosen.form, "dirichlet" if chosen.form == "mean" else "mean"
    made = (
        recipe(chosen.alpha, form, chosen.on, "", f"c-{form}"),
        recipe(0.0, form, "members", "b"),
        recipe(chosen.alpha, other, chosen.on, f"c-{other}"),
    )
    return {("srepr", recipe.variants[-1]): recipe for recipe in made}


def one_pass(logits, params):
    """Log probabilities [B, C] of a classifier, of the mean's features [1, B, D]."""
    return lambda z: jax.nn.log_softmax(logits(params, z[0]))


def every_draw(logits, params, heads=None):
    """Log of the mean probability over K draws, of their features [K, B, D].

    The classifier `params` is one for all of them; of whole networks each draw has its
    own of `heads`, leading axis K, instead.
    """

    def own(draw):
        return jax.tree.map(lambda leaf: leaf[draw], heads) if heads else params

    def log_probs(z):
        each = [logits(own(draw), member) for draw, member in enumerate(z)]
        return mean_log_probs(jnp.stack(each))

    return log_probs
