"""Image data sets read whole into memory: embedded digits, own arrays, TFDS.

Every source returns a checked `Dataset`.
"""

import dataclasses
import importlib.util
import lzma
import os
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np

from ltjax.data import meta, partition
from ltjax.data.dataset import (
    Dataset,
    Split,
    checked,
    checked_meta,
    checked_rank,
    paired,
)
from ltjax.data.longtail import class_counts, taken
from ltjax.mistake import Mistake, nearest


def digits(test_per_class=74):
    """The 1,797 scikit-learn digits, 8 x 8 x 1, scaled from 0..16 to 0..255.

    The test set is the last `test_per_class` images of each class in index order; no
    random draw. Both splits keep the index order. A class has 174 images or more, so
    that 74 leave each the 100 of a long-tailed set's largest.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    image = np.rint(bunch.images[..., None] * (255 / 16)).astype(np.uint8)
    label = bunch.target.astype(np.int32)
    counts = class_counts(label, 10)
    if not 1 <= test_per_class < counts.min():
        raise Mistake(
            f"digits: test_per_class is {test_per_class}, wanted 1..{counts.min() - 1}"
        )
    held_out = np.zeros(len(label), bool)
    for digit in range(10):
        held_out[np.flatnonzero(label == digit)[-test_per_class:]] = True
    train = Split(image[~held_out], label[~held_out])
    test = Split(image[held_out], label[held_out])
    return Dataset("digits", train, test, 10)


def npz(train_path, test_path=None, classes=None, test_per_class=10, seed=0):
    """Two .npz files with `image`, uint8 NHWC (or NHW), and `label`, integers [N].

    A training file of a part of a set may say with `rank`, integers [N], where each
    image stands in the long-tailed draw of its class (`longtail.ranks`).
    Numbers that are known beside an image, such as where and when it was taken, are
    `meta`, float [N, K], in both files or in none.
    Without `classes` there are as many as the largest label of both files, plus one.
    The set has the training file's name, without "_train". Without a test file
    `partition.stratified` takes `test_per_class` images of each class for the test.
    """
    train = npz_split(train_path, classes)
    if test_path is None:
        test_path = train_path
        train, test = _divided(train, classes, test_per_class, seed)
        if not len(test.label):
            raise Mistake(f"{train_path} leaves no test images; give a test file")
    else:
        test = npz_split(test_path, classes)
    name = Path(train_path).stem.removesuffix("_train")
    data = paired(name, train_path, train, test_path, test, classes)
    if train.meta is None:
        return data
    return dataclasses.replace(data, beside=meta.vector(train.meta.shape[1]))


def npz_split(path, classes=None):
    """The images, labels, ranks and what is known beside them of one file, checked."""
    members = _read_npz(path)
    split = checked(path, members["image"], members["label"], classes)
    return split._replace(
        rank=checked_rank(path, members.get("rank"), split.label),
        meta=checked_meta(path, members.get("meta"), split.label),
    )


def tfds(name, data_dir=None, download=False):
    """A TFDS image classification set, stored as array_record; TensorFlow is not used.

    The test split is `test`, or `validation` where there is none or its labels were
    never published. `data_dir` is by default TFDS's own. A set that is not there is
    downloaded only if `download`. Examples with an `id` are sorted by it: CIFAR then
    has its official order.
    """
    builder, test_name, classes = opened_tfds(name, data_dir, download)
    paths = [f"TFDS {name} split {split!r}" for split in ("train", test_name)]
    train, test = (
        checked(path, *_read_tfds(path, builder, split), classes)
        for path, split in zip(paths, ("train", test_name))
    )
    return paired(name, paths[0], train, paths[1], test, classes)


def opened_tfds(name, data_dir=None, download=False):
    """The builder of such a set, the split that tests, and the classes, or None."""
    import tensorflow_datasets

    if importlib.util.find_spec("array_record") is None:
        how = "pip install 'ltjax[large]'"
        if sys.platform == "win32":
            how = "there is none for Windows; take a folder, a CSV or an .npz instead"
        raise Mistake(f"reading a TFDS set needs the package array_record: {how}")
    if data_dir is not None:
        data_dir = os.path.expanduser(data_dir)
    builder = _tfds_builder(tensorflow_datasets, name, data_dir, download)
    splits = list(builder.info.splits)
    test_name = "test" if "test" in splits else "validation"
    if {"test", "validation"} <= set(splits) and _unlabelled(builder, "test"):
        test_name = "validation"
    if "train" not in splits or test_name not in splits:
        raise Mistake(
            f"TFDS {name} has the splits {_listed(splits)}, "
            "wanted 'train' and 'test' (or 'validation')"
        )
    features = builder.info.features
    if "image" not in features or "label" not in features:
        raise Mistake(
            f"TFDS {name} has the features {_listed(features)}, "
            "wanted 'image' and 'label'"
        )
    classes = getattr(features["label"], "num_classes", None)
    return builder, test_name, classes


def _divided(whole, classes, test_per_class, seed):
    """A file's images for training and for the test, equal ones all for training."""
    classes = classes or int(whole.label.max()) + 1
    copies = partition.repeated(partition.digests(whole.image))
    test = partition.stratified(whole.label, classes, test_per_class, seed, copies)
    # A draw of the part that is left is its own.
    whole = whole._replace(rank=None)
    return tuple(taken(whole, np.flatnonzero(rows)) for rows in (~test, test))


def _read_npz(path):
    """The members `image`, `label` and, if there, `rank` and `meta` of one file."""
    path = Path(path)
    # Of `os.path`, because `Path` raises on a name that is too long.
    if os.path.isdir(path):
        raise Mistake(f"{path} is a folder, wanted an .npz file")
    if not os.path.exists(path):
        raise Mistake(f"{path} does not exist{_neighbour(path)}")
    # What NumPy raises on damaged files is not one family; a member is read on access.
    damage = (
        OSError,
        EOFError,
        ValueError,
        RuntimeError,
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
    )
    if not zipfile.is_zipfile(path):
        raise Mistake(f"{path} is not an .npz file, or it is cut short")
    members = {}
    try:
        # Opened here, because NumPy leaves the file open where the archive is damaged.
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            for member in ("image", "label"):
                if member not in archive.files:
                    raise Mistake(
                        f"{path} has no member {member!r}; "
                        f"it has {_listed(archive.files)}"
                    )
                members[member] = archive[member]
            for member in {"rank", "meta"} & set(archive.files):
                members[member] = archive[member]
    except Mistake:
        raise
    except MemoryError as error:
        raise Mistake(
            f"{path} cannot be read: an array in it is larger than the memory"
        ) from error
    except damage as error:
        raise Mistake(
            f"{path} cannot be read: {_first_line(error)}; "
            "wanted plain arrays 'image' and 'label' in an undamaged .npz"
        ) from error
    return members


def _tfds_builder(tensorflow_datasets, name, data_dir, download):
    """The builder of a set that is prepared and can be read at random."""
    try:
        builder = tensorflow_datasets.builder(name, data_dir=data_dir)
    except tensorflow_datasets.core.registered.DatasetNotFoundError as error:
        known = tensorflow_datasets.core.registered.list_imported_builders()
        hint = nearest(name, known, repr)
        raise Mistake(f"TFDS knows no data set {name!r}{hint}") from error
    except (ValueError, AssertionError) as error:  # its own words for config, version
        raise Mistake(f"TFDS {name!r}: {_first_line(error)}") from error
    if not builder.info.splits and not download:
        raise Mistake(
            f"TFDS {name} is not prepared in {builder.data_dir}; "
            "--data.directory names another folder, --data.download True downloads it"
        )
    if not builder.info.splits:
        try:
            builder = tensorflow_datasets.builder(
                name, data_dir=data_dir, file_format="array_record"
            )
            builder.download_and_prepare()
        except Exception as error:  # TFDS and its sources share no base class
            raise Mistake(
                f"TFDS {name} could not be prepared in {builder.data_dir}: "
                f"{type(error).__name__}: {_first_line(error)}"
            ) from error
    formats = {stored.value for stored in builder.info.available_file_formats()}
    if "array_record" not in formats:
        raise Mistake(
            f"TFDS {name} in {builder.data_dir} is stored as {_listed(formats)}, "
            "wanted array_record; name another folder with --data.directory"
        )
    return builder


def _unlabelled(builder, split):
    """Whether the labels of a split were kept back: TFDS then has -1 in their place."""
    source = builder.as_data_source(split)
    return len(source) > 0 and int(source[0].get("label", 0)) < 0


def _read_tfds(path, builder, split):
    """All images [N, H, W, ch] and labels [N] of one split."""
    source = builder.as_data_source(split)
    if not len(source):
        raise Mistake(f"{path} has no images")
    first = source[0]["image"]
    image = np.empty((len(source), *first.shape), first.dtype)
    label = np.empty(len(source), np.int64)
    names = []
    for row, example in enumerate(source):
        if example["image"].shape != first.shape:
            raise Mistake(
                f"{path} has images of shape {first.shape} and "
                f"{example['image'].shape}; this source wants one shape"
            )
        image[row], label[row] = example["image"], example["label"]
        names.append(example.get("id", row))
    # TFDS stores examples in hashed order. CIFAR's `id` restores the official order,
    # and with it the published long-tailed subset.
    order = np.argsort(np.array(names), kind="stable")
    return image[order], label[order]


def _neighbour(path):
    if not os.path.isdir(path.parent):
        return f", nor does the folder {path.parent}"
    names = [other.name for other in path.parent.glob("*.npz")]
    return nearest(path.name, names)


def _listed(names):
    names = sorted(names)
    shown = ", ".join(repr(name) for name in names[:8])
    return (shown + (", ..." if len(names) > 8 else "")) or "none"


def _first_line(error):
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
