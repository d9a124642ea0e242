"""Several seeds of a run as one: the mean of their probabilities.

A deep ensemble (Lakshminarayanan et al., NeurIPS 2017, arXiv:1612.01474).
"""

import time

import numpy as np

from ltjax.classifier import NONE, heads
from ltjax.data import longtail
from ltjax.evaluation import scores
from ltjax.stages import trained
from ltjax.workdir import results
from ltjax.workdir.rows import Row, headline, named, preferred


def rows(outs):
    """The rows, as in `results.json`, of the mean of the finished runs in `outs`.

    Each is of one classifier's probabilities, a network of every seed; "seeds" is how
    many there are.
    """
    outs = list(outs)
    if len(outs) < 2:
        return []
    known = [set(named(results.record(out)[0])) for out in outs]
    common = set.intersection(*known)
    plain = (Row("sgd", NONE), Row(headline().backbone, NONE))
    wanted = [*plain, *_headlines(common)]
    return [_row(outs, row) for row in wanted if row in common]


def _headlines(common):
    """The first two re-trained classifiers of the backbone that a run is about."""
    own = (row for row in preferred() if row.backbone == headline().backbone)
    known = [row for row in own if row in common and row.classifier != NONE]
    return known[:2][::-1]


def _row(outs, row):
    begin, mean = time.monotonic(), None
    for out in outs:
        run = trained.read(out, row.backbone)
        found = log_probs(run, row)
        mean = found if mean is None else np.logaddexp(mean, found)
    mean = np.float32(mean - np.log(len(outs)))
    groups = longtail.groups(run.counts)
    labels = trained.test_labels(run)
    figures, _ = scores.score(lambda z: z[0], mean[None], labels, groups)
    names = {**row.names, "seeds": len(outs)}
    return {**names, **figures, "seconds": time.monotonic() - begin}


def log_probs(run, row):
    """What a `Row` of one pass says of the run's test images, float64 [N, C]."""
    one = heads.one_pass(*trained.logits(run, row.classifier, row.variant))
    return np.float64(scores.per_image(one, trained.test_features(run)[:1]))
