"""What a few rows say of every test image, kept for the page of the run."""

from typing import NamedTuple

import numpy as np

from ltjax.classifier import NONE, PREFERRED
from ltjax.workdir.files import write_arrays

FILE = "predictions.npz"


class Predicted(NamedTuple):
    """The top label of every test image, [N], and its probability."""

    label: np.ndarray  # int32
    confidence: np.ndarray  # float32


def shown(classifiers):
    """Of the classifiers of a backbone those that are looked at closely, at most three.

    No re-training first, the one that the page is about last.
    """
    classifiers = set(classifiers)
    known = [name for name in PREFERRED if name in classifiers - {NONE}][:2]
    return [*({NONE} & classifiers), *reversed(known)]


def write(out, predicted):
    """Keeps `Predicted` by row in the folder of a run."""
    arrays = zip(*predicted.values()) if predicted else ((), ())
    labels, confidences = map(np.array, arrays)
    rows = {"row": np.array(list(predicted), str)}
    write_arrays(out / FILE, {**rows, "label": labels, "confidence": confidences})


def read(out):
    """`Predicted` by row, as `write` kept them; nothing where there is no file."""
    if not (out / FILE).exists():
        return {}
    with np.load(out / FILE, allow_pickle=False) as file:
        rows, *arrays = (file[name] for name in ("row", "label", "confidence"))
    return {str(row): Predicted(*pair) for row, *pair in zip(rows, *arrays)}
