"""What a row of the table is worth: on the test images, with and without metadata."""

from typing import NamedTuple

import numpy as np

from ltjax.data import longtail
from ltjax.evaluation import scaling, scores
from ltjax.mistake import Mistake
from ltjax.stages.features import Features
from ltjax.stages.loader import Loader


class Judge(NamedTuple):
    """What tells what a row is worth."""

    seen: Features
    loader: Loader
    calibrate: bool  # on the held-out images, before it is tested


def figures(judge, log_probs, members):
    """A row's note: its figures, its accuracy per class and, if asked for, how sure it
    was before it was calibrated.

    `log_probs` takes the features of those of the `members`, a slice, that it is of.
    """
    test, loader, absent = judge.seen.test[members], judge.loader, judge.seen.absent
    found, per_class = scored(log_probs, test, loader)
    told = {}
    if judge.calibrate:
        held = scores.per_image(log_probs, judge.seen.validation[members])
        own = scaling.fitted(held, loader.validation["label"])
        before = {name: found[name] for name in ("nll", "ece", "brier")}
        told = {"calibration": {**own.told(), "images": len(held), "before": before}}
        log_probs = scaling.calibrated(log_probs, own)
        found, per_class = scored(log_probs, test, loader)
    if absent is not None:
        blind = scored(log_probs, absent[members], loader)
        told["absent"] = dict(zip(("figures", "accuracy"), blind))
    return {"figures": found, "accuracy": per_class, **told}


def scored(log_probs, features, loader):
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
