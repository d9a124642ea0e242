"""The one shape of a data set held in memory, and the checks of it.

Whatever cannot be trained on is refused here, with where it is from, what was found
and what would be right.
"""

import dataclasses
from typing import NamedTuple

import numpy as np

from ltjax.data.longtail import MOST_CLASSES
from ltjax.mistake import Mistake


class Skipped(NamedTuple):
    """A file that gave no image: its path as listed, a kind, and the reason."""

    path: str
    kind: str
    reason: str


class Split(NamedTuple):
    """Images and their labels."""

    image: np.ndarray  # uint8 [N, H, W, ch]
    label: np.ndarray  # int32 [N], 0..C-1
    rank: np.ndarray | None = (
        None  # int [N], place in the long-tailed draw of its class
    )
    file: np.ndarray | None = None  # uint8 [N, 32], SHA-256 of the files of images
    meta: np.ndarray | None = None  # float32 [N, K], what is known beside the image
    group: np.ndarray | None = None  # int32 [N], of images that belong together

    @property
    def streamed(self):
        """Whether images are decoded when they are needed."""
        return streamed(self.image)

    @property
    def row(self):
        """The number of every image, int32 [N]."""
        return np.arange(len(self.label), dtype=np.int32)


def streamed(images):
    """Whether images are no array, but `streamed.Pictures`."""
    return not isinstance(images, np.ndarray)


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A training and a test split of the same classes and image shape.

    A class may lack training or test images.
    """

    name: str
    train: Split
    test: Split
    classes: int
    class_names: tuple[str, ...] = ()  # [C], or none
    skipped: tuple[Skipped, ...] = ()
    manifest: dict | None = None  # what it was held against (`manifest.check`)
    shared: int = 0  # test images that are training images, too
    beside: tuple = ()  # `meta.Part`s, of what `meta` of the splits is made
    silent: dict = dataclasses.field(default_factory=dict)  # column -> rows without it
    # Training images that nothing is trained on: what a run chooses, it chooses there.
    validation: Split | None = None
    moments: tuple | None = None  # by which images are scaled; None: of their pixels


def checked(path, image, label, classes=None):
    """The arrays as a `Split`, or a `Mistake` that names `path`, their place."""
    image = image.reshape(check_images(path, image.dtype, image.shape))
    if label.ndim != 1 or label.dtype.kind not in "iu":
        raise Mistake(
            f"{path}: 'label' is {label.dtype} of shape {label.shape}, "
            "wanted integers [N]"
        )
    if len(label) != len(image):
        raise Mistake(
            f"{path}: {len(image)} images but {len(label)} labels, wanted as many"
        )
    if classes is not None and not 1 <= classes <= MOST_CLASSES:
        raise Mistake(f"classes is {classes}, wanted 1..{MOST_CLASSES}")
    last = (MOST_CLASSES if classes is None else classes) - 1
    outside = (label < 0) | (label > last)
    if outside.any():
        row = int(outside.argmax())
        raise Mistake(f"{path}: 'label' is {label[row]} in row {row}, wanted 0..{last}")
    return Split(image, label.astype(np.int32))


def check_images(path, dtype, shape):
    """The shape [N, H, W, ch] of images of a type and a shape, or a `Mistake`.

    Images [N, H, W] get a channel axis.
    """
    if dtype != np.uint8:
        raise Mistake(f"{path}: 'image' is {dtype}, wanted uint8 (0..255)")
    if len(shape) not in (3, 4):
        raise Mistake(
            f"{path}: 'image' has shape {shape}, wanted [N, H, W, ch] or [N, H, W]"
        )
    if 0 in shape:
        raise Mistake(f"{path}: 'image' has shape {shape}, wanted some pixels")
    if len(shape) == 3:
        shape = (*shape, 1)
    _, height, width, channels = shape
    if height in (1, 3) and width == channels > 4:
        raise Mistake(
            f"{path}: 'image' has shape {shape}, channels first; wanted channels last, "
            "[N, H, W, ch]"
        )
    return shape


def checked_rank(path, rank, label):
    """The ranks of a long-tailed draw, or None without any, or a `Mistake`."""
    if rank is None:
        return None
    if rank.shape != label.shape or rank.dtype.kind not in "iu" or rank.min() < 0:
        raise Mistake(
            f"{path}: 'rank' is {rank.dtype} of shape {rank.shape}, wanted integers "
            f"[{len(label)}], 0 or more"
        )
    by_class = np.lexsort((rank, label))
    same = (np.diff(label[by_class]) == 0) & (np.diff(rank[by_class]) == 0)
    if same.any():
        row = by_class[1:][same][0]
        raise Mistake(
            f"{path}: 'rank' is {rank[row]} twice in class {label[row]}, wanted each "
            "image's own place in the draw of its class"
        )
    return rank


def checked_meta(path, meta, label):
    """What is known beside each image, float32 [N, K], or None, or a `Mistake`."""
    if meta is None:
        return None
    if meta.ndim != 2 or len(meta) != len(label) or meta.dtype.kind not in "fiu":
        raise Mistake(
            f"{path}: 'meta' is {meta.dtype} of shape {meta.shape}, wanted numbers "
            f"[{len(label)}, K]"
        )
    with np.errstate(over="ignore"):
        meta = meta.astype(np.float32)
    if not np.isfinite(meta).all():
        row = int((~np.isfinite(meta)).any(1).argmax())
        raise Mistake(f"{path}: 'meta' is not finite in row {row}, in float32")
    return meta


def paired(name, train_path, train, test_path, test, classes=None):
    """Two checked splits as a `Dataset`, or a `Mistake` that names both paths.

    Without `classes` there are as many as the largest label, plus one.
    """
    if train.image.shape[1:] != test.image.shape[1:]:
        raise Mistake(
            f"{train_path} has images of shape {train.image.shape[1:]}, {test_path} "
            f"of shape {test.image.shape[1:]}; wanted the same"
        )
    beside = [part and part[1:] for part in map(_meta_shape, (train, test))]
    if beside[0] != beside[1]:
        raise Mistake(
            f"{train_path} has 'meta' of shape {_meta_shape(train)}, {test_path} of "
            f"shape {_meta_shape(test)}; wanted the same, or none in both"
        )
    if classes is None:
        classes = 1 + max(int(train.label.max()), int(test.label.max()))
    return Dataset(name, train, test, classes)


def _meta_shape(split):
    return None if split.meta is None else split.meta.shape
