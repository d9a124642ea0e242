"""The data set of a run, from wherever its settings say."""

import dataclasses

from rich.console import Console

from ltjax.data import album, listing, longtail, manifest, sources
from ltjax.mistake import Mistake
from ltjax.report import progress

# What None means in `data.size` and `data.test_per_class`.
SIZE = 64
TEST_PER_CLASS = 10


def load(settings, console=None):
    """The data set of a run's `data` settings, its training split made long-tailed."""
    per_class = settings.test_per_class or TEST_PER_CLASS
    if settings.source == "digits":
        data = sources.digits()
    elif settings.source in ("folder", "csv"):
        read = listing.folder if settings.source == "folder" else listing.table
        data = held(read(settings.path), settings, per_class, console or Console())
    elif settings.source == "npz":
        data = sources.npz(
            settings.train,
            settings.test,
            settings.classes,
            per_class,
            settings.subset_seed,
        )
    else:
        name = settings.source.removeprefix("tfds:")
        data = sources.tfds(name, settings.directory, settings.download)
    if settings.classes not in (None, data.classes):
        raise Mistake(
            f"data.classes is {settings.classes}; {settings.source} has {data.classes}"
        )
    if data.classes < 2:
        raise Mistake(f"{data.name} has {data.classes} class; it takes 2 to tell apart")
    train = tailed(data.train, data.classes, settings)
    # A manifest tells of the whole set, before anything is held out.
    checked = manifest.check(
        settings, data.train.label, train.label, data.test.label, data.classes
    )
    if settings.holdout:
        rest, chosen = longtail.hold_out(
            data.train, data.classes, settings.holdout, settings.subset_seed
        )
        train = tailed(rest, data.classes, settings)
        data = dataclasses.replace(data, test=chosen)
    counts = longtail.class_counts(train.label, data.classes)
    if settings.imbalance_factor is not None and counts.min() < 1:
        raise Mistake(
            f"data.imbalance_factor is {settings.imbalance_factor:g}; it must be at "
            f"most {counts.max()}, or class {counts.argmin()} has no training image"
        )
    return dataclasses.replace(data, train=train, manifest=checked)


def tailed(split, classes, settings):
    """The long-tailed part of a training split."""
    return longtail.tailed(
        split,
        classes,
        settings.imbalance_factor,
        settings.largest,
        settings.subset_seed,
    )


def held(files, settings, per_class, console):
    """The images of a `listing.Listing`, decoded and held in memory."""
    with progress.stage(console, "read images", len(files.paths)) as advance:
        data = album.dataset(
            files,
            settings.size or SIZE,
            per_class,
            settings.subset_seed,
            settings.strict,
            advance,
        )
    known, tested = (set(split.label.tolist()) for split in (data.train, data.test))
    if tested - known:
        names = (listing.shown(data.class_names[at]) for at in sorted(tested - known))
        line = f"classes with test images but no training images: {', '.join(names)}"
        console.print(line, soft_wrap=True, highlight=False, markup=False)
    return data
