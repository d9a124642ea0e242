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
from ltjax.data import sampling
from ltjax.evaluation import scaling, scores
from ltjax.mistake import Mistake
from ltjax.posterior import dispersion
from ltjax.representation import schedule
from ltjax.runtime import devices
from ltjax.stages import choosing, judging
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
    tokens: dict | None = None  # how far apart those of a transformer are


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
    judge = judging.Judge(seen, loader, settings.calibrate)

    def add(note, row):
        for line, of_classes in judging.lines(note, row):
            accuracy[Row.of(line).key] = of_classes
            found.append(line)

    cache = folder.cache(f"heads/{name}")
    with folder.stage(f"classify {name}", len(made)) as done:
        for (classifier, variant), head in made.items():
            row = Row(name, classifier, variant).key
            fitted = partial(learn, head)
            if head.choice:
                trials = choosing.Trials(row, learn, seen, loader, cache)
                fitted = partial(choosing.learned, head.choice, trials)
            make = partial(_row, folder, row, head, fitted, judge)
            params, note = cache.get(row, make, lambda like=head.params: like)
            params = devices.local(params)
            if head.averaged:
                own = seen.heads if head.whole else None
                own = jax.tree.map(lambda leaf: leaf[1:], own)  # of the draws
                averaged[classifier] = head.logits, params, own
            if "" in head.variants:
                plain = heads.one_pass(head.logits, params)
                own = scaling.of_row(note)
                classifiers[classifier] = scaling.calibrated(plain, own)
            for shown in head.variants:
                add(note, Row(name, classifier, shown))
            done(row)
    cache.close()
    if not backbone.draws:
        return Outcome(found, accuracy)
    spreads = {}
    for classifier, draws in averaged.items():
        own = classifiers[classifier]
        log_probs, note = _averaged(draws, judge)
        add(note, Row(backbone.drawn, classifier))
        spread = scores.per_image(heads.disagreement(own), seen.test[judging.DRAWS])
        passes = {backbone.drawn: (log_probs, seen.test[judging.DRAWS])}
        passes[name] = own, seen.test[judging.MEAN]
        judging.add_refusal(found, classifier, spread, passes, loader)
        spreads[classifier] = spread
    logits = partial(heads.none(seen.head).logits, seen.head)
    of_draws = seen.test[judging.DRAWS], loader.tested, len(counts)
    spread = dispersion.per_class(logits, *of_draws)
    closely = judging.closely(name, classifiers, spreads, judge)
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


def _averaged(draws, judge):
    """Log probabilities of all draws together, as calibrated, and the row's note."""
    begin = time.monotonic()
    log_probs = heads.every_draw(*draws)
    note = judging.note(judge, log_probs, judging.DRAWS)
    note["seconds"] = time.monotonic() - begin
    return scaling.calibrated(log_probs, scaling.of_row(note)), note


def _row(folder, row, head, fitted, judge):
    """The row's classifier and its note, after training and testing.

    `fitted(watch)` trains it, and says what is to be told of that.
    """

    def watch(epoch, losses, params):
        loss = float(losses.mean())
        folder.event(event="head_epoch", row=row, epoch=epoch + 1, loss=loss)

    begin = time.monotonic()
    try:
        params, told = fitted(watch)
        log_probs = heads.one_pass(head.logits, params)
        note = judging.note(judge, log_probs, judging.MEAN)
        alone = judging.alone(judge, head, params)
    except Mistake as mistake:
        raise Mistake(f"{row}: {mistake}") from mistake
    note |= {"seconds": time.monotonic() - begin, **told}
    if alone:
        note["experts"] = alone
    # Told before it is saved: a kill in between repeats the event, and loses none.
    folder.event(event="row", row=row, stage="classifier", **note)
    return devices.whole(params), note


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
