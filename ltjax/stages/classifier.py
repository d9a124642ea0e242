"""Stage two of a run: every classifier of the table, on one backbone's features.

Heads are small: every process trains all of them on its first device, and the first
one's are kept.
"""

import time
from functools import partial
from typing import NamedTuple

import jax
import numpy as np
import optax

from ltjax.classifier import heads
from ltjax.classifier import train as training
from ltjax.data import longtail, sampling
from ltjax.evaluation import scores
from ltjax.mistake import Mistake
from ltjax.posterior import dispersion
from ltjax.representation import schedule
from ltjax.runtime import devices
from ltjax.stages import choosing
from ltjax.workdir import predictions, rows
from ltjax.workdir.rows import Row


class Outcome(NamedTuple):
    """What came out of a backbone."""

    rows: list  # of the table
    accuracy: dict  # of each class, by row
    # Of a backbone with draws: how far they disagree on each class, the predictions
    # that a page shows by row, and what conformal sets are worth.
    dispersion: dict | None = None
    predicted: dict | None = None
    coverage: dict | None = None
    shapes: dict | None = None  # of activations that learnt theirs, by place


def train(backbone, seen, loader, folder, settings):
    """Every row of a `Backbone`, of its `features.Features`.

    `settings` is the `classifier` part of a config. A finished row is saved with its
    classifier and not made again. The SWAG row is of the drawn whole networks, each
    with its own head; those of re-trained classifiers send each draw's features through
    the one of the SWA row.
    """
    name, counts = backbone.name, loader.index.counts
    made, learn = _heads(backbone, seen, loader, settings)
    found, accuracy, averaged, classifiers = [], {}, {}, {}

    def add(backbone, classifier, variant, note):
        row = {"backbone": backbone, "classifier": classifier, "variant": variant}
        for seen, told in _tellings(note):
            one = {**row, **seen}
            accuracy[Row.of(one).key] = told["accuracy"]
            one |= {**told["figures"], "seconds": note["seconds"]}
            for more in ("experts", "choice"):
                if more in told and not variant:
                    one[more] = told[more]
            found.append(one)

    cache = folder.cache(f"heads/{name}")
    with folder.stage(f"classify {name}", len(made)) as done:
        for (classifier, variant), head in made.items():
            row = Row(name, classifier, variant).key
            fitted = partial(learn, head)
            if head.choice:
                trials = choosing.Trials(row, learn, seen, loader, cache)
                fitted = partial(choosing.learned, head.choice, trials)
            make = partial(_row, folder, row, head, fitted, _first(seen), loader)
            params, note = cache.get(row, make, lambda like=head.params: like)
            params = devices.local(params)
            if head.averaged:
                own = seen.heads if head.whole else None
                own = jax.tree.map(lambda leaf: leaf[1:], own)  # of the draws
                averaged[classifier] = head.logits, params, own
            if "" in head.variants:
                classifiers[classifier] = heads.one_pass(head.logits, params)
            for shown in head.variants:
                add(name, classifier, shown, note)
            done(row)
    cache.close()
    if not backbone.draws:
        return Outcome(found, accuracy)
    for classifier, (logits, params, own) in averaged.items():
        log_probs = heads.every_draw(logits, params, own)
        add(backbone.drawn, classifier, "", _averaged(log_probs, seen, loader))
    logits = partial(heads.none(seen.head).logits, seen.head)
    of_draws = seen.test[1:], loader.tested, len(counts)
    spread = dispersion.per_class(logits, *of_draws)
    closely = _closely(name, classifiers, seen.test[:1], loader)
    return Outcome(found, accuracy, spread, *closely)


def _heads(backbone, seen, loader, settings):
    """The `Head`s of a backbone by row; `learn(head, watch)`: its parameters, trained.

    And what is told of that besides: nothing.
    """
    counts = loader.index.counts
    means = heads.class_means(settings, seen.plain, loader.labels, len(counts))
    made = heads.of_methods(
        settings, loader.keys.head, seen.head, means, counts, backbone.draws > 0
    )
    batches = {
        rule: jax.jit(batches_of(rule, settings, loader.index))
        for rule in ("instance", "class")
    }
    by = loader.keys.head_order, seen.view, loader.train["label"]

    def learn(head, watch):
        return fit(head, settings, *by, batches[head.sampling], watch), {}

    return made, learn


class Tested(NamedTuple):
    """Features of the test images, and, where there is metadata, of those without."""

    features: jax.Array
    absent: jax.Array | None


def _first(seen):
    """The `Tested` of the mean, [1, N, D]."""
    return Tested(seen.test[:1], None if seen.absent is None else seen.absent[:1])


def _averaged(log_probs, seen, loader):
    """The note of a row of all draws."""
    begin = time.monotonic()
    absent = None if seen.absent is None else seen.absent[1:]
    note = _both(log_probs, Tested(seen.test[1:], absent), loader)
    return {**note, "seconds": time.monotonic() - begin}


def _both(log_probs, tested, loader):
    """The figures of a row, and those without metadata as "absent" if there are any."""
    names = "figures", "accuracy"
    note = dict(zip(names, _scored(log_probs, tested.features, loader)))
    if tested.absent is not None:
        note["absent"] = dict(zip(names, _scored(log_probs, tested.absent, loader)))
    return note


def _tellings(note):
    """Pairs of a row's field "meta", or none, and what a note tells of it then."""
    if "absent" not in note:
        return [({}, note)]
    return [({"meta": rows.SEEN}, note), ({"meta": rows.ABSENT}, note["absent"])]


def _closely(name, classifiers, features, loader):
    """`Predicted` of the rows that are looked at closely, and conformal coverage.

    `classifiers` are log-probabilities by method, `features` [1, N, D] of the test
    images under the mean.
    """
    predicted = {
        Row(name, classifier).key: predictions.Predicted(
            *scores.top_labels(classifiers[classifier], features)
        )
        for classifier in predictions.shown(classifiers)
    }
    if not predicted:
        return predicted, None
    log_probs = classifiers[predictions.shown(classifiers)[-1]]
    coverage = scores.set_coverage(
        log_probs, features, loader.tested, longtail.groups(loader.index.counts)
    )
    # The last row is the one that the page is about.
    return predicted, coverage and {"row": list(predicted)[-1], **coverage}


def _row(folder, row, head, fitted, tested, loader):
    """The row's classifier and its note, after training and testing.

    `fitted(watch)` trains it, and says what is to be told of that; `tested` is of the
    mean.
    """

    def watch(epoch, losses, params):
        loss = float(losses.mean())
        folder.event(event="head_epoch", row=row, epoch=epoch + 1, loss=loss)

    begin = time.monotonic()
    try:
        params, told = fitted(watch)
        log_probs = heads.one_pass(head.logits, params)
        note = _both(log_probs, tested, loader)
        alone = _alone(head, params, tested.features, loader)
    except Mistake as mistake:
        raise Mistake(f"{row}: {mistake}") from mistake
    seconds = time.monotonic() - begin
    note |= {"seconds": seconds, **told}
    if alone:
        note["experts"] = alone
    # Told before it is saved: a kill in between repeats the event, and loses none.
    folder.event(event="row", row=row, stage="classifier", **note)
    return devices.whole(params), note


def _alone(head, params, features, loader):
    """The figures of each expert alone, where the head is one of a headline row.

    `features` [1, N, E, D].
    """
    found = []
    for expert, single in enumerate(head.experts if head.averaged else ()):
        own = jax.tree.map(lambda leaf, at=expert: leaf[at], params)
        log_probs = heads.one_pass(single.logits, own)
        figures, _ = _scored(log_probs, features[..., expert, :], loader)
        found.append(figures)
    return found


def _scored(log_probs, features, loader):
    """`scores.score` on the test images; `Mistake` where it is not finite."""
    groups = longtail.groups(loader.index.counts)
    found = scores.score(log_probs, features, loader.test["label"], groups)
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


def fit(head, settings, key, view, labels, batches, watch):
    """The head's parameters after training; as they are where it has no loss.

    `view(epoch, draws)` gives the features [M + 1, N, D] of that epoch, or [1, N, D]
    without draws; `batches(key, epoch)` the rows [steps, B]. `watch(epoch, losses,
    params)` is called after each epoch.

    Raises `Mistake` if the loss is not finite.
    """
    if head.loss is None:
        return head.params
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

    return training.fit(
        head.params,
        head.loss,
        tx,
        lambda epoch: view(epoch, head.draws),
        labels,
        lambda epoch: batches(jax.random.fold_in(key, epoch), epoch),
        settings.epochs,
        check,
    )
