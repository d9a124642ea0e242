"""What a few rows say of every test image, kept for the page of the run."""

from typing import NamedTuple

import numpy as np

from ltjax.classifier import NONE, PREFERRED
from ltjax.workdir.files import write_arrays

FILE = "predictions.npz"


class Predicted(NamedTuple):
    """The top label of every test image, its probability, and how sure it is, [N]."""

    label: np.ndarray  # int32
    confidence: np.ndarray  # float32
    entropy: np.ndarray | None = None  # float32, nats
    disagreement: np.ndarray | None = None  # float32, of the draws, where there are any

    @property
    def sureness(self):
        """The scores that tell what to refuse, by name: the larger, the surer."""
        scores = {"confidence": self.confidence}
        for name in ("entropy", "disagreement"):
            value = getattr(self, name)
            if value is not None:
                scores[name] = -value
        return scores


def shown(classifiers):
    """Of the classifiers of a backbone those that are looked at closely, at most three.

    No re-training first, the one that the page is about last.
    """
    classifiers = set(classifiers)
    known = [name for name in PREFERRED if name in classifiers - {NONE}][:2]
    return [*({NONE} & classifiers), *reversed(known)]


def write(out, predicted):
    """Keeps `Predicted` by row in the folder of a run."""
    arrays = {"row": np.array(list(predicted), str)}
    for name in Predicted._fields:
        found = [getattr(of, name) for of in predicted.values()]
        if not any(values is None for values in found):  # all rows have it, or none
            arrays[name] = np.array(found)
    write_arrays(out / FILE, arrays)


def read(out):
    """`Predicted` by row, as `write` kept them; nothing where there is no file."""
    if not (out / FILE).exists():
        return {}
    with np.load(out / FILE, allow_pickle=False) as file:
        names = [name for name in Predicted._fields if name in file]
        rows, *arrays = (file[name] for name in ("row", *names))
    return {
        str(row): Predicted(**dict(zip(names, own))) for row, *own in zip(rows, *arrays)
    }
