"""Stage two of a run: every classifier of the table, on one backbone's features.

Heads are small: every process trains all of them on its first device, and the first
one's are kept.
"""

import time
from functools import partial

import jax
import numpy as np
import optax

from ltjax.classifier import heads as recipes
from ltjax.classifier import train
from ltjax.data import longtail, sampling
from ltjax.evaluation import scores
from ltjax.mistake import Mistake
from ltjax.representation import schedule
from ltjax.runtime import devices, progress
from ltjax.workdir.cache import Cache
from ltjax.workdir.rows import Row


def rows(session, name, head, looks):
    """Every row of the backbone `name`, its accuracy per class, and classifiers.

    `head` is the linear classifier of stage one and `looks` the backbone's features.
    A finished row is saved with its classifier and not made again. The SWAG row is of
    the drawn whole networks, each with its own head; those of re-trained classifiers
    send each draw's features through the one of the SWA row. Of every headline row of
    one pass there is `log_probs(features [1, B, D]) -> [B, C]`, by its classifier.
    """
    counts = session.index.counts
    has_draws = len(looks.test) > 1
    made = recipes.of_methods(
        session.config.classifier,
        session.keys.head,
        head,
        recipes.class_means(
            session.config.classifier,
            looks.plain,
            session.data.train.label,
            len(counts),
        ),
        counts,
        has_draws,
    )
    batches = {
        rule: jax.jit(batches_of(rule, session.config.classifier, session.index))
        for rule in ("instance", "class")
    }
    found, accuracy, averaged, classifiers = [], {}, {}, {}

    def add(backbone, classifier, variant, note):
        row = {"backbone": backbone, "classifier": classifier, "variant": variant}
        accuracy[Row.of(row).key] = note["accuracy"]
        row |= {**note["figures"], "seconds": note["seconds"]}
        if "experts" in note and not variant:
            row["experts"] = note["experts"]
        found.append(row)

    shelf = Cache(session, f"heads/{name}")
    with progress.stage(session.console, f"classify {name}", len(made)) as done:
        for (classifier, variant), recipe in made.items():
            row = Row(name, classifier, variant).key
            make = partial(_row, session, row, recipe, looks, batches)
            params, note = shelf.get(row, make, lambda like=recipe.params: like)
            params = devices.local(params)
            if recipe.averaged:
                heads = looks.heads if recipe.whole else None
                own = jax.tree.map(lambda leaf: leaf[1:], heads)  # of the draws
                averaged[classifier] = recipe.logits, params, own
            if "" in recipe.variants:
                classifiers[classifier] = recipes.one_pass(recipe.logits, params)
            for shown in recipe.variants:
                add(name, classifier, shown, note)
            done(row)
    shelf.close()

    if has_draws:
        for classifier, (logits, params, own) in averaged.items():
            begin = time.monotonic()
            log_probs = recipes.every_draw(logits, params, own)
            figures, per_class = _scored(session, log_probs, looks.test[1:])
            seconds = time.monotonic() - begin
            note = {"figures": figures, "accuracy": per_class, "seconds": seconds}
            add("swag", classifier, "", note)
    return found, accuracy, classifiers


def _row(session, row, recipe, looks, batches):
    """The row's classifier and its note, after training and testing."""

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
        log_probs = recipes.one_pass(recipe.logits, params)
        figures, per_class = _scored(session, log_probs, looks.test[:1])
        alone = _alone(session, recipe, params, looks.test[:1])
    except Mistake as mistake:
        raise Mistake(f"{row}: {mistake}") from mistake
    seconds = time.monotonic() - begin
    note = {"figures": figures, "accuracy": per_class, "seconds": seconds}
    if alone:
        note["experts"] = alone
    # Told before it is saved: a kill in between repeats the event, and loses none.
    session.writer.write({"event": "row", "row": row, "stage": "classifier", **note})
    return devices.whole(params), note


def _alone(session, recipe, params, features):
    """The figures of each expert alone, where the recipe is one of a headline row.

    `features` [1, N, E, D].
    """
    found = []
    for expert, single in enumerate(recipe.experts if recipe.averaged else ()):
        own = jax.tree.map(lambda leaf, at=expert: leaf[at], params)
        log_probs = recipes.one_pass(single.logits, own)
        figures, _ = _scored(session, log_probs, features[..., expert, :])
        found.append(figures)
    return found


def _scored(session, log_probs, features):
    """`scores.score` on the test images; `Mistake` where it is not finite."""
    groups = longtail.groups(session.index.counts)
    found = scores.score(log_probs, features, session.test["label"], groups)
    nll = found[0]["nll"]
    if not np.isfinite(nll):
        raise Mistake(
            f"the NLL of the test images is {nll}: the weights have "
            "diverged; try a smaller --optim.lr or --classifier.lr"
        )
    return found


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
        if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params)):
            raise Mistake(
                f"a weight is not finite after epoch {epoch + 1}; "
                "try a smaller --classifier.lr"
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
