"""What a finished run has written, read for its page: no data, no weights."""

import os
from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile

import numpy as np

from ltjax import config as configs
from ltjax.config import Config, own
from ltjax.config.kind import told
from ltjax.data import longtail
from ltjax.mistake import Mistake
from ltjax.workdir import beside, events, examples, files, identity, predictions


class Results(NamedTuple):
    """A finished run; what an earlier version did not write is empty."""

    out: Path
    results: dict  # of results.json
    classes: dict  # of classes.json
    config: Config
    identity: dict  # what decides the run's numbers, and the fingerprint of its data
    versions: list  # of versions.json
    epochs: dict  # backbone -> events of its epochs, in order
    labels: np.ndarray | None  # [N], of the test images
    predicted: dict  # row -> predictions.Predicted
    images: dict  # row of the test images -> uint8 [h, w, ch]
    tail: dict  # label of a rare class -> its training images, the rarest first
    maps: dict  # row of the test images -> where its prediction comes from
    beside: tuple = ()  # `meta.Part`s of what is known beside them

    @property
    def counts(self):
        """Training images per class, int [C]."""
        return np.asarray(self.results["dataset"]["counts"])

    @property
    def groups(self):
        """Masks of the groups of classes, bool [C]."""
        return longtail.groups(self.counts)

    @property
    def swa_start(self):
        """Epochs of the SWA backbone before its snapshots; None where it has none."""
        averaged = self.epochs.get("swa")
        return configs.swa_start(self.config) if averaged else None

    def has(self, backbone):
        """Whether there are rows of a backbone."""
        return any(row["backbone"] == backbone for row in self.results["rows"])

    @property
    def shown(self):
        """The rows that are looked at closely, as they are named in files."""
        # Those whose predictions are there; an earlier version kept none.
        last = "swa" if self.has("swa") else "sgd"
        return list(self.predicted) or [
            f"{last}-{classifier}"
            for classifier in predictions.shown(
                row["classifier"]
                for row in self.results["rows"]
                if row["backbone"] == last and not row["variant"]
            )
        ]

    @property
    def last(self):
        """The row that the page is about; None where no predictions were kept."""
        return next(reversed(self.predicted), None)

    @property
    def chosen(self):
        """Rows of the images that the last predicted row is most and least sure of."""
        if self.last is None:
            return {}
        last = self.predicted[self.last]
        return examples.chosen(self.labels, last, self.groups)


def read(out):
    """Reads the finished run in the folder `out`.

    Raises `Mistake` for what is no run, not finished, or damaged.
    """
    out = _finished(out)
    try:
        record = files.read_json(out / "config.json")
        results = files.read_json(out / "results.json")
        lacks = {"dataset", "rows", "seconds"} - set(results)
        if lacks:
            raise KeyError(*lacks)
        if any("acc" not in row for row in results["rows"]):
            raise Mistake(
                f"{out} holds a run without labels, whose page is {out / 'report.html'}"
            )
        predicted = predictions.read(out)
        return Results(
            out=out,
            results=results,
            classes=_optional(out / "classes.json", {}),
            config=identity.config_of(out),
            identity=record["run"],
            versions=_optional(out / "versions.json", []),
            epochs=events.epochs(out),
            labels=_labels(out),
            predicted=predicted,
            images=examples.read(out),
            tail=examples.read_tail(out),
            maps=examples.read_maps(out, predicted),
            beside=beside.read(out),
        )
    except Mistake:
        raise
    except (KeyError, TypeError, OSError, ValueError, BadZipFile) as error:
        raise Mistake(
            f"{out} holds a damaged run ({type(error).__name__}: {error}); delete its "
            "results.json and run its command again"
        ) from error


def _optional(file, otherwise):
    return files.read_json(file) if file.exists() else otherwise


def _labels(out):
    if not (out / "labels.npz").exists():
        return None
    with np.load(out / "labels.npz", allow_pickle=False) as file:
        return file["test"]


def record(out):
    """What `results.json` holds of the finished run in `out`, and its config.

    Raises `Mistake` where there is none that tells of its images.
    """
    out = _finished(out)
    kept = out / "results.json"
    results = files.read_json(kept)
    if "image" not in results["dataset"]:
        raise Mistake(
            f"{kept} does not tell the shape of images: an earlier version wrote it; "
            "delete it and run the same command again"
        )
    config = identity.config_of(out)
    own.check_whole(config, out)
    return results, config


def check_labelled(out, config):
    """Refuses a run that has sorted images without labels: it has no accuracies."""
    if told(config.objective, "labelled") is False:
        raise Mistake(
            f"{out} has sorted images without labels: what it knows is in its "
            "clusters.csv, and ltjax.predict puts new images into its clusters"
        )


def of_seeds(out):
    """The folders of the seeds of `--seeds` in `out`, or `out` alone where it is a run.

    `out` may be the seeds.json, too. Raises `Mistake` for a damaged one.
    """
    out = Path(out)
    summary = out if out.suffix == ".json" else out / "seeds.json"
    # `Path` raises on a name that is too long.
    if not os.path.isfile(summary) or os.path.isfile(out / "config.json"):
        return [out]
    runs = files.read_json(summary)
    runs = runs.get("runs") if isinstance(runs, dict) else None
    if not isinstance(runs, dict) or not all(isinstance(r, str) for r in runs.values()):
        raise Mistake(f"{summary} is no summary of seeds; give the folder of a run")
    return [summary.parent / run for run in runs.values()]


def _finished(out):
    """The folder of a finished run as a `Path`, or a `Mistake`."""
    out = Path(out)
    if not os.path.isfile(out / "config.json"):  # `Path` raises on one that is too long
        raise Mistake(f"{out} holds no run; give the folder of one")
    if not (out / "results.json").is_file():
        raise Mistake(f"{out} holds a run that is not finished; run its command again")
    return out
