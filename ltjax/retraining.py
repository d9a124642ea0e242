"""Stage two of a run: every classifier of the table, on one backbone's features.

Heads are small: every process trains all of them on its first device, and the first
one's are kept.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ltjax import checkpoint, devices, scoring
from ltjax.classifier import (
    crt,
    disalign,
    linear,
    logit_adjustment,
    lws,
    ncm,
    srepr,
    tau_norm,
    train,
)
from ltjax.classifier.ncm import ABSENT
from ltjax.data import sampling
from ltjax.mistake import Mistake
from ltjax.report import progress
from ltjax.representation import schedule

# Classifiers whose mean over the draws is a SWAG row.
AVERAGED = ("none", "la", "srepr")


class Recipe(NamedTuple):
    """How one row of the table is made."""

    params: dict  # before training; final where nothing is trained
    logits: Callable  # logits(params, features [B, D]) -> [B, C]
    loss: Callable | None = None  # loss(params, features [M + 1, B, D], labels [B])
    sampling: str = "instance"
    draws: bool = False  # whether the loss looks beyond the mean, features[0]


def recipes(settings, key, head, features, labels, counts, has_draws):
    """A `Recipe` for each (classifier, variant) of a backbone, in the table's order.

    `head` is the linear classifier of stage one, `features` [N, D] the plain training
    images under the mean weights. `settings` is the `classifier` part of a config.
    SRepr needs draws and is left out without them.
    """
    dim, classes = head["kernel"].shape

    def new_head():
        return linear.init(jax.random.clone(key), dim, classes)

    # The adjusted loss leaves a class without training images where it began, and its
    # raw logit would compete: it is lowered, as LA post-hoc does.
    unseen = jnp.where(jnp.asarray(counts) > 0, 0.0, ABSENT)

    def seen_only(logits):
        return lambda params, z: logits(params, z) + unseen[None]

    found = {("none", ""): Recipe(head, linear.logits)}
    for method in settings.methods:
        if method == "crt":
            recipe = Recipe(
                new_head(),
                crt.logits,
                lambda params, z, y: crt.loss(params, z[0], y),
                sampling="class",
            )
        elif method == "lws":
            recipe = Recipe(
                lws.init(classes),
                lambda params, z: lws.logits(params, z, head),
                lambda params, z, y: lws.loss(params, z[0], y, head),
                sampling="class",
            )
        elif method == "tau_norm":
            recipe = Recipe(tau_norm.init(head, settings.tau_norm), tau_norm.logits)
        elif method == "ncm":
            recipe = Recipe(ncm.init(features, labels, classes), ncm.logits)
        elif method == "la_posthoc":
            recipe = Recipe(
                head,
                lambda params, z: logit_adjustment.posthoc(
                    params, z, counts, settings.tau
                ),
            )
        elif method == "la":
            recipe = Recipe(
                new_head(),
                seen_only(logit_adjustment.logits),
                lambda params, z, y: logit_adjustment.loss(
                    params, z[0], y, counts, settings.tau
                ),
            )
        elif method == "disalign":
            recipe = Recipe(
                disalign.init(dim, classes),
                lambda params, z: disalign.logits(params, z, head),
                lambda params, z, y: disalign.loss(
                    params, z[0], y, head, counts, settings.rho
                ),
            )
        elif has_draws:
            first = head if settings.srepr.head == "stage_one" else new_head()
            found |= _srepr(settings, first, seen_only(srepr.logits), counts)
            continue
        else:
            continue
        found[method, ""] = recipe
    return found


def _srepr(settings, first, logits, counts):
    """SRepr's steps: (c) in the configured form, (b), and (c) in the other form."""
    chosen = settings.srepr

    def recipe(alpha, form, on):
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

        return Recipe(first, logits, loss, draws=True)

    other = "dirichlet" if chosen.form == "mean" else "mean"
    return {
        ("srepr", f"c-{chosen.form}"): recipe(chosen.alpha, chosen.form, chosen.on),
        ("srepr", "b"): recipe(0.0, chosen.form, "members"),
        ("srepr", f"c-{other}"): recipe(chosen.alpha, other, chosen.on),
    }


def rows(session, name, head, looks):
    """Every row of the backbone `name`, and the accuracy per class of each.

    `head` is the linear classifier of stage one and `looks` the backbone's features.
    A finished row is saved with its classifier and not made again. SRepr's headline row
    is its (c) in the configured form. The SWAG rows send each draw's features through a
    head of the SWA row.
    """
    counts = session.index.counts
    has_draws = len(looks.test) > 1
    made = recipes(
        session.config.classifier,
        session.keys.head,
        head,
        looks.plain,
        session.train["label"],
        counts,
        has_draws,
    )
    batches = {
        rule: jax.jit(batches_of(rule, session.config.classifier, session.index))
        for rule in ("instance", "class")
    }
    headline = f"c-{session.config.classifier.srepr.form}"
    found, accuracy, heads = [], {}, {}

    def add(backbone, classifier, variant, note):
        row = {"backbone": backbone, "classifier": classifier, "variant": variant}
        found.append({**row, **note["figures"], "seconds": note["seconds"]})
        accuracy[label(*row.values())] = note["accuracy"]

    with progress.stage(session.console, f"classify {name}", len(made)) as done:
        for (classifier, variant), recipe in made.items():
            row = label(name, classifier, variant)
            params, note = _kept_row(session, row, recipe, looks, batches)
            if variant in ("", headline):
                heads[classifier] = recipe.logits, params
                add(name, classifier, "", note)
            if variant:
                add(name, classifier, variant, note)
            done(row)

    if has_draws:
        for classifier in AVERAGED:
            if classifier not in heads:
                continue
            begin = time.monotonic()
            figures, per_class = scoring.score(
                scoring.every_draw(*heads[classifier]),
                looks.test[1:],
                session.test["label"],
                counts,
            )
            seconds = time.monotonic() - begin
            note = {"figures": figures, "accuracy": per_class, "seconds": seconds}
            add("swag", classifier, "", note)
    return found, accuracy


def label(backbone, classifier, variant):
    """The name of a row: swa-srepr-b."""
    return "-".join(filter(None, (backbone, classifier, variant)))


def _kept_row(session, row, recipe, looks, batches):
    """The row's classifier and its note, as saved or after training and testing."""
    path = session.out / "checkpoints" / "heads" / row
    if session.holds(path):
        like = devices.whole(recipe.params)
        return devices.local(checkpoint.load(path, like)), checkpoint.note(path)

    def watch(epoch, losses, params):
        session.writer.write(
            {
                "event": "head_epoch",
                "row": row,
                "epoch": epoch + 1,
                "loss": float(losses.mean()),
            }
        )

    begin = time.monotonic()
    try:
        params = fit(
            recipe,
            session.config.classifier,
            session.keys.head_order,
            looks.view,
            session.train["label"],
            batches[recipe.sampling],
            watch,
        )
        figures, per_class = scoring.score(
            scoring.one_pass(recipe.logits, params),
            looks.test[:1],
            session.test["label"],
            session.index.counts,
        )
    except Mistake as mistake:
        raise Mistake(f"{row}: {mistake}") from mistake
    seconds = time.monotonic() - begin
    note = {"figures": figures, "accuracy": per_class, "seconds": seconds}
    # Told before it is saved: a kill in between repeats the event, and loses none.
    session.writer.write({"event": "row", "row": row, "stage": "classifier", **note})
    session.save(path, devices.whole(params), note)
    session.stop_if_asked(f"classifier {row}")
    return params, note


def batches_of(rule, settings, index):
    """Rows of a head's batches as a function of (key, epoch).

    The last batch is completed, so that every image is seen in every epoch of an
    instance-balanced row.
    """
    batch_size = min(settings.batch_size, len(index.rows))
    return sampling.batches(rule, index, batch_size, settings.epochs, drop_last=False)


def fit(recipe, settings, key, view, labels, batches, watch):
    """The recipe's parameters after training; as they are where it has no loss.

    `view(epoch, draws)` gives the features [M + 1, N, D] of that epoch, or [1, N, D]
    without draws; `batches(key, epoch)` the rows [steps, B]. `watch(epoch, losses,
    params)` is called after each epoch.

    Raises `Mistake` if the loss is not finite.
    """
    if recipe.loss is None:
        return recipe.params
    steps = len(jax.eval_shape(batches, key, 0))
    rate = optax.cosine_decay_schedule(settings.lr, settings.epochs * steps)
    tx = schedule.sgd(rate, settings.momentum, settings.weight_decay)

    def check(epoch, losses, params):
        losses = np.asarray(losses)
        finite = np.isfinite(losses)
        if not finite.all():
            at = epoch * steps + int(finite.argmin())
            raise Mistake(
                f"the loss is {losses[finite.argmin()]} at step {at}, learning rate "
                f"{float(rate(at)):g}; try a smaller --classifier.lr"
            )
        watch(epoch, losses, params)

    return train.fit(
        recipe.params,
        recipe.loss,
        tx,
        lambda epoch: view(epoch, recipe.draws),
        labels,
        lambda epoch: batches(jax.random.fold_in(key, epoch), epoch),
        settings.epochs,
        check,
    )
