"""Where a prediction comes from: what it loses when parts of the image are covered.

Zeiler and Fergus 2014 (arXiv:1311.2901): a square of the mean colour goes over the
image, and each time the probability of the class that was said is taken again.
"""

from functools import partial

import numpy as np

from ltjax.classifier import heads
from ltjax.runtime import hosts
from ltjax.stages import trained
from ltjax.workdir import examples, results
from ltjax.workdir.rows import named

PLACES = 8  # along either side
_SPAN = 2  # places that are covered at a time, so that neighbours overlap


def covered(image, colour, places=PLACES):
    """The image, uint8 [H, W, ch], with one place after another covered.

    uint8 [places * places, H, W, ch], row by row; a place is the middle of a square of
    two places' length, cut at the border. `colour` [ch] is that of the square.
    """
    height, width = image.shape[:2]
    found = np.repeat(image[None], places * places, 0)
    for number, each in enumerate(found):
        down, across = divmod(number, places)
        rows, columns = (
            slice(
                max(0, round((at + 0.5 - _SPAN / 2) * side / places)),
                min(side, round((at + 0.5 + _SPAN / 2) * side / places)),
            )
            for at, side in ((down, height), (across, width))
        )
        each[rows, columns] = colour
    return found


def fallen(probability, image, label, colour):
    """By how much the probability of a class falls, float32 [PLACES, PLACES].

    `probability(images uint8 [B, H, W, ch]) -> [B, C]`. Above 0 what is covered spoke
    for the class `label`, below 0 against it.
    """
    batch = np.concatenate([image[None], covered(image, colour)])
    found = np.asarray(probability(batch))[:, label]
    return (found[0] - found[1:]).reshape(PLACES, PLACES).astype(np.float32)


def keep(out, test):
    """Keeps the maps of the surest mistakes that the page of the run in `out` shows.

    `test` is the split that it was tested on. Says in a line what was done, or why not:
    whatever it is, the results stay.
    """
    try:
        return _explained(out, test)
    except Exception as error:
        return f"mistakes are not explained: {type(error).__name__}: {error}"


def _explained(out, test):
    found = results.read(out)
    name = found.last
    if name is None:
        return "mistakes are not explained: no row of this run has draws"
    rows = sorted(
        {int(row) for kinds in found.chosen.values() for row in kinds[examples.WRONG]}
    )
    if not rows:
        return "no mistake to explain"
    of_row = {row.key: row for row in named(found.results)}[name]
    run = trained.read(out, of_row.backbone)
    features = trained.features(run)
    one = heads.one_pass(*trained.logits(run, of_row.classifier, of_row.variant))
    colour = np.round(255 * np.array(found.results["dataset"]["mean"])).astype(np.uint8)

    labels = found.predicted[name].label[rows]

    def probability(row, images):
        batch = {"image": images}
        if run.beside:
            batch["meta"] = np.repeat(test.meta[row][None], len(images), 0)
        return np.exp(np.asarray(one(features(batch))))

    maps = [
        fallen(partial(probability, row), image, said, colour)
        for row, image, said in zip(
            rows, examples.whole(test.image, np.array(rows)), labels
        )
    ]
    hosts.by_first(lambda: examples.keep_maps(out, name, rows, labels, np.stack(maps)))
    return f"{len(rows)} mistakes of {name} explained"
