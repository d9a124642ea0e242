"""The data set of a run, from wherever its settings say."""

import dataclasses

import jax
import numpy as np
from rich.console import Console

from ltjax import machine
from ltjax.config import Augment
from ltjax.data import (
    columns,
    crops,
    entries,
    groups,
    listing,
    longtail,
    manifest,
    partition,
    rendering,
    resident,
    sources,
    stream,
    streamed,
)
from ltjax.mistake import Mistake, shown
from ltjax.runtime import hosts, progress
from ltjax.stages import memory as sizes

_PLAIN = Augment()

# What None means in `data.size` and `data.test_per_class`.
SIZE = 64
TEST_PER_CLASS = 10


def load(settings, console=None, augment=_PLAIN):
    """The data set of a run's `data` settings, its training split made long-tailed.

    Its images are arrays, or `streamed.Pictures` where they are to be streamed; those
    come augmented as `augment` says.
    """
    console = console or Console()
    data = _checked(settings, console, augment)
    if settings.subset == "first":
        rank = longtail.in_order(data.train.label, data.classes)
        data = dataclasses.replace(data, train=data.train._replace(rank=rank))
    profile = settings.imbalance_factor, settings.largest, settings.subset_seed
    rows = longtail.kept(data.train, data.classes, *profile)
    # A manifest tells of the whole set, before anything is held out.
    checked = manifest.check(settings, data.train, rows, data.test, data.classes)
    if settings.holdout:
        rest, chosen = longtail.hold_out(
            data.train, data.classes, settings.holdout, settings.subset_seed
        )
        data = dataclasses.replace(data, train=rest, test=chosen)
    train = longtail.tailed(data.train, data.classes, *profile)
    counts = longtail.class_counts(train.label, data.classes)
    if settings.imbalance_factor is not None and counts.min() < 1:
        raise Mistake(
            f"data.imbalance_factor is {settings.imbalance_factor:g}; it must be at "
            f"most {counts.max()}, or class {counts.argmin()} has no training image"
        )
    seen, tested = (partition.digests_of(split) for split in (train, data.test))
    data = dataclasses.replace(
        data, train=train, manifest=checked, shared=partition.shared(seen, tested)
    )
    if settings.validation:
        data = _held_out(data, settings, seen)
    for line in _told(data):
        console.print(line, soft_wrap=True, highlight=False, markup=False)
    return data


def _held_out(data, settings, digests):
    """The data set with a share of its training images, of those `digests`, apart."""
    train, share = data.train, settings.validation
    drawn = data.classes, share, digests, settings.subset_seed
    if train.group is None:
        held = partition.spared(train.label, *drawn)
    else:
        held = partition.spared_groups(
            train.label, *drawn[:3], train.group, settings.subset_seed
        )
    if not held.any():
        raise Mistake(
            f"data.validation is {share:g}, and no class of {data.name} has the "
            f"{partition.LEAST} images, each there once, of which one can be held out; "
            "give 0"
        )
    rest, apart = (longtail.taken(train, np.flatnonzero(of)) for of in (~held, held))
    return dataclasses.replace(data, train=rest, validation=apart)


def _checked(settings, console, augment):
    """The set as it is at its source, if it can be learned from."""
    data = _whole(settings, console, augment)
    if settings.classes not in (None, data.classes):
        raise Mistake(
            f"data.classes is {settings.classes}; {settings.source} has {data.classes}"
        )
    side = min(data.train.image.shape[1:3])
    if augment.pad > side:
        raise Mistake(
            f"augment.pad is {augment.pad}; it must be at most {side}, the shorter "
            "side of the images in pixels"
        )
    if data.classes < 2:
        raise Mistake(f"{data.name} has {data.classes} class; it takes 2 to tell apart")
    return data


def _whole(settings, console, augment):
    """The set as its files have it, before anything of it is left out."""
    if settings.manifest is not None:  # its name, before the images are looked at
        manifest.find(settings.manifest, settings.imbalance_factor)
    per_class = settings.test_per_class or TEST_PER_CLASS
    if settings.source == "digits":
        return sources.digits()
    if settings.source in ("folder", "csv"):
        return listed(_files(settings), settings, per_class, console, augment)
    if settings.source == "npz":
        return _with_meta(
            settings,
            sources.npz(
                settings.train,
                settings.test,
                settings.classes,
                per_class,
                settings.subset_seed,
            ),
        )
    return of_tfds(settings, console, augment)


def _with_meta(settings, data):
    if settings.meta and data.train.meta is None:
        raise Mistake(
            f"data.meta is {settings.meta}, and {settings.train} has no array 'meta'"
        )
    return data


def settled(config, data):
    """The config with images streamed or not as it came out.

    So a run does not go on in the other way.
    """
    stream = data.train.streamed or None
    return dataclasses.replace(
        config, data=dataclasses.replace(config.data, stream=stream)
    )


def _told(data):
    """What a user should know of a data set before it is trained on, in lines."""
    checked = data.manifest or {}
    if checked.get("difference"):
        yield (
            f"data.manifest {checked['name']}, mismatch allowed: "
            f"{checked['difference']}"
        )
    if checked.get("holdout"):
        yield (
            f"data.manifest {checked['name']} is of the set as it was before "
            f"data.holdout {checked['holdout']}"
        )
    if data.train.group is not None:
        yield from _of_groups(data)
    if data.validation is not None:
        held = longtail.class_counts(data.validation.label, data.classes)
        line = f"held out of all training: {held.sum():,} images"
        none = (held == 0).sum()
        few = f"; classes of fewer than {partition.LEAST}, which spare none: {none}"
        yield line + few * bool(none)
    for part in data.beside if data.silent else ():
        missing = max(data.silent[column] for column in part.columns)
        yield f"metadata: {columns.in_words(part)}" + (
            f"; nothing told in {missing:,} rows" if missing else ""
        )
    if data.shared:
        yield (
            f"{data.shared} of the {len(data.test.label)} test images are training "
            "images, too; they say nothing of new ones"
        )


def _of_groups(data):
    """What a split of whole groups came to."""
    splits = [split for split in (data.train, data.test, data.validation) if split]
    kinds = ("train", "are tested", "are held out")
    parts = [f"{len(set(s.group.tolist()))} {kind}" for s, kind in zip(splits, kinds)]
    yield f"groups of images: {', '.join(parts)}"
    labels, numbers = (
        np.concatenate([getattr(split, column) for split in splits])
        for column in ("label", "group")
    )
    whole = groups.undivided(labels, numbers, data.classes)
    if len(whole):
        named = data.class_names or tuple(map(str, range(data.classes)))
        names = ", ".join(shown(named[at]) for at in whole[:5])
        more = f" and {len(whole) - 5} more" if len(whole) > 5 else ""
        yield (
            f"classes whose images are all of one group, so that none is tested: "
            f"{names}{more}"
        )


def _files(settings):
    """The `listing.Listing` of a folder or a CSV."""
    if settings.source == "folder":
        return listing.folder(settings.path, settings.nested, settings.group)
    return listing.table(settings.path, settings.group, settings.meta)


def listed(files, settings, per_class, console, augment):
    """The images of a `listing.Listing`, decoded and held in memory, or streamed."""
    size = settings.size or SIZE
    drawn = per_class, settings.subset_seed, settings.strict
    for line in filter(None, (entries.told(files.ignored), files.note)):
        console.print(line, soft_wrap=True, highlight=False, markup=False)
    if streams(settings, augment, (len(files.paths), size, size, 3)):
        stream.check_installed()
        share = _share(len(files.paths))
        with progress.stage(console, "check images", share) as advance:
            recipe = recipe_of(settings, augment, size)
            data = streamed.of_listing(
                files, recipe, *drawn, advance, divided=hosts.divided
            )
    else:
        with progress.stage(console, "read images", len(files.paths)) as advance:
            how = recipe_of(settings, augment, size).rendering
            data = resident.dataset(files, size, *drawn, advance, rendering=how)
    known, tested = (set(split.label.tolist()) for split in (data.train, data.test))
    if tested - known:
        names = (shown(data.class_names[at]) for at in sorted(tested - known))
        line = f"classes with test images but no training images: {', '.join(names)}"
        console.print(line, soft_wrap=True, highlight=False, markup=False)
    return data


def of_tfds(settings, console, augment):
    """A TFDS set, decoded and held in memory, or streamed."""
    name = settings.source.removeprefix("tfds:")
    place = name, settings.directory, settings.download
    builder, test_name, classes = sources.opened_tfds(*place)
    names = "train", test_name
    count = sum(builder.info.splits[split].num_examples for split in names)
    height, width, channels = builder.info.features["image"].shape
    own = height if height == width else None
    recipe = recipe_of(settings, augment, settings.size or own or SIZE)
    # Only streamed images are brought to one shape, one scale, a background.
    ground, span = recipe.rendering
    coloured = ground not in (None, rendering.USUAL.background)
    shape = height, width, channels
    must = settings.size or span or coloured or None in shape
    if not streams(settings, augment, (count, *shape), must):
        return sources.tfds(*place)
    stream.check_installed()
    with progress.stage(console, "check images", _share(count)) as advance:
        return streamed.of_tfds(
            name, builder, names, classes, recipe, advance, divided=hosts.divided
        )


def recipe_of(settings, augment, size):
    """How pictures become images."""
    return crops.Crop(
        size,
        augment.crop_area,
        augment.pad,
        augment.flip,
        augment.jitter,
        rendering.of_words(settings.background, settings.range),
    )


def streams(settings, augment, shape, must=False):
    """Whether images of this shape [N, H, W, ch] are streamed.

    They are where it is asked for, where only streamed images can be what is asked for
    (`must`, crops, colours), and where they do not fit in a quarter of the memory.
    """
    if settings.stream is not None:
        return settings.stream
    if must or augment.crop_area or augment.jitter:
        return True
    return np.prod(shape, dtype=float) > memory() / 4


def _share(count):
    """How many of so many files the first process looks at."""
    return -(-count // jax.process_count())


def memory():
    """Bytes of this process's memory or, if that is less, of a device's."""
    host = machine.memory() or resident.UNKNOWN
    return min(filter(None, (host, sizes.device_memory())))
