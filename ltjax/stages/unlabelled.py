"""Images, or features, that are to be sorted into clusters, and what they are called.

Labels that are there are for scores only: what is trained on has none.
"""

import dataclasses
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ltjax.config.kind import told
from ltjax.data import archive, entries, rendering, unlabelled
from ltjax.data.dataset import Dataset, Skipped, Split
from ltjax.data.names import found
from ltjax.data.shape import Shape
from ltjax.mistake import Mistake, shown
from ltjax.runtime import progress
from ltjax.stages import loading

_BATCH = 256
_AS_THEY_ARE = (0.0,), (1 / 255,)  # pixels are over 255


class Unsorted(NamedTuple):
    """A data set without labels: all are 0, and it is tested on what it learns from."""

    data: Dataset
    names: list  # [N], printable paths, or numbers
    truth: Any = None  # int [N], classes that are known besides, or None
    classes: int = 0  # of these


def load(config, console):
    """The `Unsorted` set of a config. Raises `Mistake` for what cannot be one."""
    settings = config.data
    if settings.source == "features":
        made = _of_features(settings, told(config.model, "centred"))
    elif settings.source == "unlabelled":
        made = _of_images(settings, config.augment, console)
    else:
        data = loading.load(settings, console, config.augment)
        if data.train.streamed:
            raise Mistake(
                f"data.source {settings.source} is streamed; two views of an image are "
                "made of images in memory: give --data.stream False, or a smaller size"
            )
        # Subsets lie class after class, which is no order to meet them in.
        truth = np.asarray(data.train.label)
        made = Unsorted(data, list(range(len(truth))), truth, data.classes)
    images, clusters = len(made.names), made.data.classes
    if clusters and clusters > images:
        raise Mistake(
            f"data.classes is {clusters} of {images} images; it must not be more than "
            "the images"
        )
    if made.data.train.image[0].size > 1:
        first = made.data.train.image[:1]
        if (made.data.train.image == first).all():
            raise Mistake(f"{made.data.name} holds one image {images} times")
    return made._replace(data=_blind(made.data))


def _blind(data):
    """The set without its labels."""
    split = Split(data.train.image, np.zeros(len(data.train.label), np.int32))
    return dataclasses.replace(data, train=split, test=split, shared=0, class_names=())


def _of_images(settings, augment, console):
    path = Path(settings.path)
    how = rendering.of_words(settings.background, settings.range)
    side, channels = settings.size or loading.SIZE, 3
    sides = side, side
    if path.suffix.lower() == ".npz" and found(path):
        _, *own, channels = archive.shape(path)
        sides = sides if settings.size else own
    shape = Shape(*sides, channels, augment.crop_area, how)
    listed = unlabelled.read(path, shape)
    images, names, skipped = [], [], []
    with (
        progress.stage(console, "read images", listed.count) as advance,
        unlabelled.batches(listed, _BATCH) as batches,
    ):
        for batch in batches:
            good = np.array([not problem for problem in batch.problems])
            images.append(batch.image[good])
            for name, problem in zip(batch.names, batch.problems):
                if problem:
                    skipped.append(Skipped(str(name), "problem", problem))
                else:
                    names.append(name)
            advance(to=len(names) + len(skipped))
    if listed.ignored:
        console.print(entries.told(listed.ignored), soft_wrap=True, markup=False)
    if skipped and settings.strict:
        raise Mistake(f"{skipped[0].path} gives no image: {skipped[0].reason}")
    if not names:
        raise Mistake(f"{shown(path)} has no image that can be read, wanted some")
    split = Split(np.concatenate(images), np.zeros(len(names), np.int32))
    data = Dataset(
        path.stem or path.resolve().name,
        split,
        split,
        settings.classes,
        skipped=tuple(skipped),
    )
    return Unsorted(data, names)


def _of_features(settings, centred):
    path = found(settings.path)
    members = _read(path)
    feature = members["feature"]
    if feature.ndim != 2 or feature.dtype.kind not in "fiu" or 0 in feature.shape:
        raise Mistake(
            f"{shown(path)}: 'feature' is {feature.dtype} of shape {feature.shape}, "
            "wanted numbers [N, D]"
        )
    with np.errstate(over="ignore"):
        feature = feature.astype(np.float32)
    if not np.isfinite(feature).all():
        row = int((~np.isfinite(feature)).any(1).argmax())
        raise Mistake(f"{shown(path)}: 'feature' is not finite in row {row}")
    count, truth = len(feature), members.get("label")
    if truth is not None and (truth.shape != (count,) or truth.dtype.kind not in "iu"):
        raise Mistake(
            f"{shown(path)}: 'label' is {truth.dtype} of shape {truth.shape}, wanted "
            f"integers [{count}], or none"
        )
    classes = 0 if truth is None else int(truth.max()) + 1
    split = Split(feature[:, None, None], np.zeros(count, np.int32))
    moments = _centred(feature) if centred else _AS_THEY_ARE
    data = Dataset(path.stem, split, split, settings.classes, moments=moments)
    return Unsorted(data, list(range(count)), truth, classes)


def _centred(feature):
    """Moments that take the mean of features [N, D] away, in the units of pixels."""
    mean = feature.mean(0, dtype=np.float64)
    return tuple(mean / 255), (1 / 255,) * len(mean)


def _read(path):
    """The members `feature` and, if there, `label`."""
    if not zipfile.is_zipfile(path):
        raise Mistake(f"{shown(path)} is not an .npz file, or it is cut short")
    try:
        with np.load(path, allow_pickle=False) as file:
            if "feature" not in file.files:
                listed = ", ".join(map(shown, file.files)) or "none"
                raise Mistake(f"{shown(path)} has no member 'feature'; it has {listed}")
            names = {"feature", "label"} & set(file.files)
            return {name: file[name] for name in names}
    except Mistake:
        raise
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise Mistake(f"{shown(path)} cannot be read: {reason}") from error
