"""Where the images of a run are, and which of them it trains on."""

import dataclasses
from typing import Annotated, Literal

from ltjax.config.kind import PLACE, told
from ltjax.config.limits import (
    COLOUR,
    COUNT,
    FACTOR,
    FROM_ZERO,
    HALF,
    INT32,
    MILLION,
    RISING,
    SEED,
    SEVERAL,
    THOUSAND,
    within,
)
from ltjax.mistake import Mistake

# The sources of encoded images.
FILES = ("folder", "csv", "tfds")
# Those without labels, of which clusters are found.
UNLABELLED = ("unlabelled", "features")

# What is told to these sources only; to the others it would mean nothing.
_OWNERS = {
    "train": ("npz",),
    "test": ("npz",),
    "path": ("folder", "csv", *UNLABELLED),
    "nested": ("folder",),
    "group": ("folder", "csv"),
    "size": (*FILES, "unlabelled"),
    "background": (*FILES, "npz", "unlabelled"),
    "range": (*FILES, "unlabelled"),
    "stream": FILES,
    "workers": FILES,
    "strict": ("folder", "csv", "unlabelled"),
    "test_per_class": ("folder", "csv", "npz"),
    "meta": ("csv", "npz"),
    "directory": ("tfds",),
    "download": ("tfds",),
}

_PATHS = {
    "folder": "folder of images",
    "csv": ".csv file",
    "unlabelled": "folder of images, .csv or .npz",
    "features": ".npz with feature",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Data:
    """Images, labels and the long tail."""

    source: str = "digits"
    """`digits` (embedded), `folder` or `csv` (see path), `npz` (see train and test),
    `tfds:NAME`; without labels `unlabelled` or `features` (see path)."""
    train: Annotated[str | None, PLACE] = None
    """Training file of an npz source: `image` uint8 [N, H, W, C], `label` [N]."""
    test: Annotated[str | None, PLACE] = None
    """Test file of an npz source."""
    path: Annotated[str | None, PLACE] = None
    """Image folder, train/CLASS/*.jpg or CLASS/*.jpg, or CSV with the columns path,
    label and, optionally, split; what features and unlabelled take is in
    docs/clusters.md."""
    meta: tuple[str, ...] = ()
    """Columns of the CSV known beside images, such as latitude, longitude, date;
    COLUMN:KIND gives another kind: time, day, category, number. Of an npz: meta."""
    nested: Annotated[bool, PLACE] = False
    """Take the last folder of an image as its class, not the first one."""
    size: Annotated[int | None, within(8, 4096)] = None
    """Pixels a side of images from files: the shorter side scaled to it, the longer
    one cut. None: a TFDS set's own, or 64."""
    background: Annotated[str | None, COLOUR] = "white"
    """Colour behind what is transparent in images from files: a name, or "#rrggbb".
    None: alpha is left out."""
    range: Annotated[tuple[float, float] | None, RISING] = None
    """Values that become black and white in grey files of more than 8 bits. None: the
    upper 8 of 16 bits."""
    test_per_class: Annotated[int | None, COUNT, INT32] = None
    """Test images of each class that keeps as many, where a folder, CSV or npz has no
    test split. None: 10."""
    group: str | None = None
    """What belongs together, and is in one split whole: a column of a CSV, or a pattern
    of paths, whose parentheses name the group: "patient([0-9]+)"."""
    strict: Annotated[bool, PLACE] = False
    """Refuse a folder or CSV with files that cannot be read; False: skip, list them."""
    directory: Annotated[str | None, PLACE] = None
    """Data directory of a tfds source; None: TFDS's own default."""
    download: Annotated[bool, PLACE] = False
    """Let TFDS download and prepare a set that is not there yet."""
    classes: Annotated[int | None, SEVERAL, MILLION] = None
    """Number of classes; None: the largest label plus one."""
    imbalance_factor: Annotated[float | None, FACTOR] = None
    """Largest class over smallest, exponential in between; None: use all images."""
    largest: Annotated[int | None, COUNT, INT32] = None
    """Images of the largest class; None: as many as every class has."""
    holdout: Annotated[int, FROM_ZERO, INT32] = 0
    """Training images a class held out, balanced, and tested on instead of the test
    set: for choosing. The profile is drawn from the rest."""
    validation: Annotated[float, HALF] = 0.0
    """Share of the training images, in classes of 5 or more, held out of all training:
    what a run chooses itself, it chooses there."""
    strangers: Annotated[str | None, PLACE] = None
    """Images of another set, without labels; told is whether the run knows that it does
    not know them."""
    subset_seed: Annotated[int, SEED] = 0
    """Seed of the long-tailed draw and of a test split; not the run's seed."""
    subset: Literal["draw", "first"] = "draw"
    """Which images the tail keeps: the draw of Cao et al., or the first in the file."""
    stream: bool | None = None
    """Decode a folder, CSV or TFDS set as it is trained on; None: if it does not fit in
    a quarter of the memory."""
    workers: Annotated[int, FROM_ZERO, THOUSAND, PLACE] = 0
    """Processes that decode streamed images; 0: threads of this one."""
    manifest: Annotated[str | None, PLACE] = None
    """Known set that the data must be, such as `cifar100_lt`; None: any."""
    allow_mismatch: Annotated[bool, PLACE] = False
    """Go on, and say so in the results, where the data are not what `manifest` says."""

    @property
    def origin(self):
        """The source without the name of a TFDS set."""
        return "tfds" if self.source.startswith("tfds:") else self.source

    def check(self, config):
        """Refuses what the source does not read, and what it lacks."""
        known = ("digits", "folder", "csv", "npz", "tfds", *UNLABELLED)
        if self.origin not in known or self.source in ("tfds", "tfds:"):
            raise Mistake(
                f"data.source is {self.source!r}; it must be digits, folder, csv, npz "
                "or tfds:NAME, or, without labels, unlabelled or features"
            )
        learns = told(config.objective, "labelled") is not False
        if self.origin in UNLABELLED and learns:
            raise Mistake(
                f"data.source is {self.source}, and objective is "
                f"{type(config.objective).__name__}, which learns from labels; give "
                "--objective p2ot, or another source"
            )
        for name, owners in _OWNERS.items():
            value = getattr(self, name)
            if value and value != getattr(Data, name):
                check_owner(f"data.{name}", value, owners, self)
        tfds = ("size", "background", "range") if self.origin == "tfds" else ()
        for name in ("workers", *tfds):
            value = getattr(self, name)
            if value and value != getattr(Data, name):
                check_streamed(f"data.{name}", value, self)
        self._check_paths()
        self._check_meta()
        if self.group is not None and self.holdout:
            raise Mistake(
                f"data.holdout is {self.holdout}, which divides groups, and data.group "
                f"is {self.group!r}; give --data.validation, which holds out whole ones"
            )
        if self.largest is not None and self.imbalance_factor is None:
            raise Mistake(
                f"data.largest is {self.largest} without data.imbalance_factor; "
                "the profile needs both"
            )

    def _check_meta(self):
        from ltjax.data import columns

        if self.origin == "npz" and self.meta not in ((), ("meta",)):
            raise Mistake(
                f"data.meta is {self.meta}; an npz file has one array of that, meta"
            )
        if self.origin == "csv":
            asked = dict(columns.asked(self.meta))
            if self.group in asked:
                raise Mistake(
                    f"data.meta names {self.group!r}, which is data.group: no group of "
                    "a test image is known from training"
                )

    def _check_paths(self):
        if self.origin in _PATHS and not self.path:
            wanted = _PATHS[self.origin]
            raise Mistake(f"data.path is {self.path!r}; it must name a {wanted}")
        for name in ("train", "test") if self.origin == "npz" else ():
            # A file without a test file may be split, if it is asked for.
            splits = name == "test" and self.test is None and self.test_per_class
            value = getattr(self, name)
            if not value and not splits:
                raise Mistake(f"data.{name} is {value!r}; it must name an npz file")


def check_owner(name, value, owners, data):
    """Refuses a field that the source of `data` does not read."""
    if data.origin not in owners:
        raise Mistake(
            f"{name} is {value!r}, which only --data.source {' or '.join(owners)} "
            f"reads; data.source is {data.source}"
        )


def check_streamed(name, value, data):
    """Refuses a field that only streamed images read where they are not to be."""
    if data.stream is False:
        raise Mistake(
            f"{name} is {value!r}, which only a streamed set reads; data.stream is "
            "False"
        )
