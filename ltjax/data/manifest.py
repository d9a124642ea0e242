"""What a known long-tailed set is, locked: counts per class, and the list of images.

`manifests/NAME.json` holds `classes`; `train` and `counts`, the training images in all
and of each class; `test_per_class`, the same for every class; and `list`, the `digest`
of the kept images. None stands where no source tells: iNaturalist's counts per class,
and the lists that follow from no rule, or from labels that were not at hand (CIFAR-10).
"""

import hashlib
import json
from pathlib import Path

import numpy as np

from ltjax.data import longtail
from ltjax.mistake import Mistake

_FOLDER = Path(__file__).parent / "manifests"


def digest(rows):
    """SHA-256 of a list of images, hexadecimal.

    `rows` [N] are their places in the official training set, from 0. What is hashed are
    these numbers in ascending order, each as a little-endian int64.
    """
    return hashlib.sha256(np.sort(np.asarray(rows)).astype("<i8").tobytes()).hexdigest()


def names():
    """Every known name."""
    return sorted(path.stem for path in _FOLDER.glob("*.json"))


def find(name, imbalance_factor=None):
    """The manifest `name`, or `name_ifF` at imbalance factor F, with its whole name."""
    known = names()
    if name not in known and imbalance_factor is not None:
        name = f"{name}_if{imbalance_factor:g}"
    if name not in known:
        raise Mistake(
            f"data.manifest: no {name} is known, only {', '.join(known)}; "
            "None checks nothing"
        )
    return {"name": name, **json.loads((_FOLDER / f"{name}.json").read_text())}


def difference(manifest, counts, test_counts, rows=None):
    """The first thing in which a data set is not what a manifest says, or None.

    `counts` and `test_counts` [C] are images per class; `rows` are the official places
    of the training images, None where they are not known.
    """
    classes, per_class = manifest["classes"], manifest["test_per_class"]
    if len(counts) != classes:
        return f"there are {len(counts)} classes, the manifest says {classes}"
    wanted = manifest["counts"]
    if wanted is not None:
        for name, (found, right) in enumerate(zip(counts, wanted)):
            if found != right:
                return f"class {name} has {found} images, the manifest says {right}"
    if sum(counts) != manifest["train"]:
        return (
            f"there are {sum(counts)} training images, "
            f"the manifest says {manifest['train']}"
        )
    for name, found in enumerate(test_counts):
        if found != per_class:
            return (
                f"class {name} has {found} test images, the manifest says {per_class}"
            )
    if rows is not None and manifest["list"] not in (None, digest(rows)):
        return (
            f"the list of training images has SHA-256 {digest(rows)[:16]}, the "
            f"manifest says {manifest['list'][:16]}: the order of the whole set, or "
            "data.subset_seed, is another"
        )
    return None


def check(settings, whole, train, test, classes):
    """Holds a run's data against `settings.manifest`; returns what the results tell.

    `whole` [N] are the labels of the training set as it was read, `train` those of its
    long-tailed part, `test` those of the test set. Raises `Mistake` at the first
    difference, unless `settings.allow_mismatch`. Without a manifest: None.
    """
    if settings.manifest is None:
        return None
    manifest = find(settings.manifest, settings.imbalance_factor)
    counts, test_counts = (
        longtail.class_counts(labels, classes).tolist() for labels in (train, test)
    )
    # A set that came cut to its profile has lost its official order.
    cut = len(train) < len(whole)
    rows = longtail.subset(whole, counts, settings.subset_seed) if cut else None
    found = difference(manifest, counts, test_counts, rows)
    if found and not settings.allow_mismatch:
        raise Mistake(
            f"data.manifest {manifest['name']}: {found}; "
            "--data.allow-mismatch True goes on with the data as they are"
        )
    return {
        "name": manifest["name"],
        "list": None if rows is None else digest(rows),
        "difference": found,
    }
