"""What a known long-tailed set is, locked: counts per class, and its images.

`manifests/NAME.json` holds `classes`; `train` and `counts`, the training images in all
and of each class; `test_per_class`, the same for every class; `list`, the `digest` of
the kept rows of the whole set; `image`, the shape of an image, and `images` and
`test_images`, the digests of each class's images (`of_classes`). None stands where no
source tells: iNaturalist's counts per class, and the lists and images of sets that
were not at hand (CIFAR-10, ImageNet-LT, Places-LT). `experiments/locked.py` writes the
digests of images.
"""

import hashlib
import json
from pathlib import Path

import numpy as np

from ltjax.data import longtail, partition
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


def of_classes(images, labels, classes):
    """A digest of each class's images, 16 hexadecimal digits [C].

    `images` are N arrays, uint8 [H, W, ch], `labels` [N] theirs. What is hashed are the
    SHA-256 of the images of a class, sorted: their order does not matter.
    """
    found = [[] for _ in range(classes)]
    for label, each in zip(labels, partition.digests(images)):
        found[label].append(each)
    return [hashlib.sha256(b"".join(sorted(each))).hexdigest()[:16] for each in found]


def check(settings, whole, rows, test, classes):
    """Holds a run's data against `settings.manifest`; returns what the results tell.

    `whole` is the training `Split` as it was read, `rows` are those of it that are
    trained on, `test` is the test split. The results name what of the manifest was
    `compared`. Raises `Mistake` at the first difference, unless
    `settings.allow_mismatch`. Without a manifest: None.
    """
    if settings.manifest is None:
        return None
    manifest = find(settings.manifest, settings.imbalance_factor)
    # A set that came cut to its profile has lost its official order.
    cut = len(rows) < len(whole.label)
    found = {
        "classes": classes,
        "counts": longtail.class_counts(whole.label[rows], classes).tolist(),
        "train": len(rows),
        "test_per_class": longtail.class_counts(test.label, classes).tolist(),
    }
    # Pixels as they were published; of streamed or scaled ones there are none.
    pixels = isinstance(whole.image, np.ndarray) and manifest["image"] is not None
    if pixels and list(whole.image.shape[1:]) == manifest["image"]:
        kept = (whole.image[row] for row in rows)
        found["images"] = of_classes(kept, whole.label[rows], classes)
        found["test_images"] = of_classes(test.image, test.label, classes)
    elif cut:
        found |= {"draw": None, "list": digest(rows)}
    told = difference(manifest, found, _otherwise(settings, whole, rows) if cut else "")
    if told and not settings.allow_mismatch:
        raise Mistake(
            f"data.manifest {manifest['name']}: {told}; "
            "--data.allow-mismatch True goes on with the data as they are"
        )
    return {
        "name": manifest["name"],
        "list": digest(rows) if cut else None,
        "compared": [name for name in found if manifest.get(name, name) is not None],
        "difference": told,
        **({"holdout": settings.holdout} if settings.holdout else {}),
    }


def difference(manifest, found, otherwise=""):
    """The first thing in which a data set is not what a manifest says, or None.

    `found` holds, under the manifest's names, what is known of the set: counts and
    digests of classes are lists [C]. `otherwise` says how its images were chosen, if
    not by the published draw; it is a difference where `found` has a `draw`.
    """
    return next(_differences(manifest, found, otherwise), None)


def _differences(manifest, found, otherwise):
    says, kept = "the manifest says", "images are kept unlike the published draw"
    if found["classes"] != manifest["classes"]:
        yield f"there are {found['classes']} classes, {says} {manifest['classes']}"
    for name, count, right in _unequal(found["counts"], manifest["counts"]):
        yield f"class {name} has {count} images, {says} {right}"
    if found["train"] != manifest["train"]:
        yield f"there are {found['train']} training images, {says} {manifest['train']}"
    tests = [manifest["test_per_class"]] * manifest["classes"]
    for name, count, right in _unequal(found["test_per_class"], tests):
        yield f"class {name} has {count} test images, {says} {right}"
    why = f"{kept}: {otherwise}" if otherwise else "other images, or another order"
    for name, seen, right in _unequal(found.get("images"), manifest["images"]):
        yield f"class {name} has images of SHA-256 {seen}, {says} {right} ({why})"
    for name, seen, right in _unequal(
        found.get("test_images"), manifest["test_images"]
    ):
        yield f"class {name} has test images of SHA-256 {seen}, {says} {right}"
    if "draw" in found and otherwise:
        yield f"{kept}: {otherwise}"
    if found.get("list", manifest["list"]) != manifest["list"] is not None:
        yield (
            f"the list of training images has SHA-256 {found['list'][:16]}, "
            f"{says} {manifest['list'][:16]} ({why})"
        )


def _unequal(found, wanted):
    """(class, value, wanted value) wherever both are known and differ."""
    if found is not None and wanted is not None:
        for name, (value, right) in enumerate(zip(found, wanted)):
            if value != right:
                yield name, value, right


def _otherwise(settings, whole, rows):
    """How the rows were chosen, in words; "" if the published draw takes the same."""
    counts = longtail.class_counts(whole.label[rows], 1 + int(whole.label.max()))
    if digest(rows) == digest(longtail.subset(whole.label, counts)):
        return ""
    if settings.subset != "draw":
        return f"data.subset is {settings.subset}"
    if whole.rank is not None:
        return "the training file has a `rank` of its own"
    return f"data.subset_seed is {settings.subset_seed}"
