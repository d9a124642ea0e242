"""What a row is worth: its figures on the test images, calibrated if that is asked for.

Of metadata twice: with what is known, and as if nothing were.
"""

from typing import NamedTuple

import jax
import numpy as np

from ltjax.classifier import heads
from ltjax.data import longtail
from ltjax.evaluation import refusal, scaling, scores
from ltjax.mistake import Mistake
from ltjax.stages.features import Features
from ltjax.stages.loader import Loader
from ltjax.workdir import predictions, rows
from ltjax.workdir.rows import Row

MEAN, DRAWS = slice(0, 1), slice(1, None)  # of the members of features


class Judge(NamedTuple):
    """What tells what a row is worth."""

    seen: Features
    loader: Loader
    calibrate: bool  # on the held-out images, before it is tested


def note(judge, log_probs, members):
    """What is told of a row: its "figures", and its "accuracy" per class.

    Where there are metadata, "absent" has the same without. If the row is calibrated,
    "calibration" has what it was before. `log_probs` takes the features of those of the
    `members`, a slice, that it is of.
    """
    seen, loader = judge.seen, judge.loader
    test, told, under = seen.test[members], {}, log_probs
    if judge.calibrate:
        held = scores.per_image(log_probs, seen.validation[members])
        own = scaling.fitted(held, loader.validation["label"])
        groups = longtail.groups(loader.index.counts)
        before = scores.briefly(log_probs, test, loader.test["label"], groups)
        before = {name: before[name] for name in ("nll", "ece", "brier")}
        told["calibration"] = {**own.told(), "images": len(held), "before": before}
        under = scaling.calibrated(log_probs, own)
    names = "figures", "accuracy"
    told |= zip(names, _scored(under, test, loader))
    if seen.absent is not None:
        absent = _scored(under, seen.absent[members], loader)
        told["absent"] = dict(zip(names, absent))
    return told


def lines(note, row):
    """Pairs of a line of `results.json` and its accuracy per class, of a `Row`'s note.

    Two where there are metadata.
    """
    for seen, told in _tellings(note):
        line = {**row.names, **seen, **told["figures"], "seconds": note["seconds"]}
        for more in ("experts", "choice", "calibration"):
            # Every row has a calibration, and predicts with it.
            if more in told and (more == "calibration" or not row.variant):
                line[more] = told[more]
        yield line, told["accuracy"]


def _tellings(note):
    """Pairs of a row's field "meta", or none, and what a note tells of it then."""
    if "absent" not in note:
        return [({}, note)]
    return [({"meta": rows.SEEN}, note), ({"meta": rows.ABSENT}, note["absent"])]


def alone(judge, head, params):
    """The figures of each expert alone, where the head is one of a headline row."""
    found = []
    features = judge.seen.test[MEAN]  # [1, N, E, D]
    for expert, single in enumerate(head.experts if head.averaged else ()):
        own = jax.tree.map(lambda leaf, at=expert: leaf[at], params)
        log_probs = heads.one_pass(single.logits, own)
        figures, _ = _scored(log_probs, features[..., expert, :], judge.loader)
        found.append(figures)
    return found


def add_refusal(table, classifier, spread, passes, loader):
    """Tells the rows of a classifier what refusing by the draws' disagreement buys.

    `spread` [N] is that disagreement, `passes` by backbone what gives a row's log
    probabilities, and of which features.
    """
    labels, groups = loader.test["label"], longtail.groups(loader.index.counts)
    for row in table:
        of = Row.of(row)
        if of.classifier == classifier and not of.variant and not of.blind:
            said, *_ = scores.top_labels(*passes[of.backbone])
            told = refusal.figures(-spread, said == np.asarray(labels), labels, groups)
            row["refusal"] = {**row["refusal"], "disagreement": told}


def closely(name, classifiers, spreads, judge):
    """`Predicted` of the rows that are looked at closely, and conformal coverage.

    `classifiers` are log-probabilities by method of the mean's features, `spreads` [N]
    how far the draws disagree, where they do.
    """
    features, loader = judge.seen.test[MEAN], judge.loader
    predicted = {
        Row(name, classifier).key: predictions.Predicted(
            *scores.top_labels(classifiers[classifier], features),
            spreads.get(classifier),
        )
        for classifier in predictions.shown(classifiers)
    }
    if not predicted:
        return predicted, None
    log_probs = classifiers[predictions.shown(classifiers)[-1]]
    groups = longtail.groups(loader.index.counts)
    coverage = scores.set_coverage(
        log_probs, features, loader.tested, groups, units=loader.units
    )
    # The last row is the one that the page is about.
    return predicted, coverage and {"row": list(predicted)[-1], **coverage}


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
