"""The story of an inspection: look, propose, estimate, tell."""

import contextlib
import dataclasses
import json
import os
import shlex
from pathlib import Path

import numpy as np

from ltjax import mistake
from ltjax.config import Config, Data, limits
from ltjax.data import csv_file, listing, longtail, sources
from ltjax.inspect import audit, begun, findings, known, proposal
from ltjax.mistake import Mistake
from ltjax.runtime import progress
from ltjax.workdir.files import write_json, write_text

# Of each class that can afford it: a fifth of the median class, within these bounds.
_TEST_IMAGES = 10, 50


def inspect(command, console):
    """Inspects the images of an `ltjax.inspect.Command`; returns what was found.

    Nothing is written but the files that the command names. Raises `Mistake` for
    whatever the user can put right.
    """
    _check(command)
    place, files, looks, shape = _look(command, console)
    found = audit.findings(files, looks)
    if place.source == "csv":
        words = None if command.meta is None else tuple(command.meta.split(","))
        found["meta"] = known.looked_at(command.path, files.label, words, command.group)
        place = dataclasses.replace(place, meta=known.proposed(found["meta"]))
    per_class = command.test_per_class
    if per_class is None:
        median = np.median(list(found["counts"].values()))
        per_class = int(np.clip(median // 5, *_TEST_IMAGES))
    if files.tests is None:
        place = dataclasses.replace(place, test_per_class=per_class)
    train, test = audit.proposed(files, looks, per_class)
    for use, rows in (("train", train), ("test", test)):
        if not len(rows):
            raise Mistake(
                f"{mistake.shown(command.path)} leaves no images to {use} on; a class "
                "needs 3 or more to have one of them tested"
            )
    place = dataclasses.replace(place, range=_range([looks[row] for row in train]))
    # Late: --help, a typo and unusable images need no JAX.
    from ltjax.inspect.estimate import accelerated, estimate

    to_train = list(audit.counted(files, train).values())
    held = int(proposal.spared(to_train).sum())
    counts, how = (len(train) - held, len(test) + held), (accelerated(), command.size)
    if command.pretrained and begun.fits(place) and begun.at_hand():
        config = begun.propose(place, *counts, *how)
    else:
        side = found["pixels"]["shorter_side"][1]
        config = proposal.propose(place, found["images"], counts[0], side, *how)
    if held:
        config = proposal.choosing(config)
    shape = shape or (config.data.size, config.data.size, 3)
    found["proposal"] = {
        **_proposed(files, train, test, config, shape),
        "validation": held,
    }
    sides = found["proposal"]["train"], found["proposal"]["test"]
    found["one_split_only"] = audit.one_sided(*sides)
    console.print("timing a few training steps ...", highlight=False)
    # What is held out is looked at as the test images are.
    found["estimate"] = estimate(config, shape, found["classes"], *counts)
    findings.show(console, found, mistake.shown)
    _write(command, found, config, files.root, console)
    return found


def _look(command, console):
    """Where the images are, their listing, looks at them, and their shape if fixed."""
    path = Path(command.path)
    kind = path.suffix.lower()
    if command.nested and not os.path.isdir(path):
        raise Mistake(f"--nested is for a folder; PATH is {path}")
    if kind == ".npz" and not os.path.isdir(path):
        return _look_at_arrays(command)
    if command.meta is not None and kind not in csv_file.SUFFIXES:
        raise Mistake(f"--meta {command.meta} goes with a .csv; PATH is {path}")
    if command.test is not None:
        raise Mistake(f"--test {command.test} goes with an .npz; PATH is {path}")
    if kind in csv_file.SUFFIXES and not os.path.isdir(path):
        place = Data(source="csv", path=str(path), group=command.group)
        files = listing.table(path, command.group)
    else:
        place = Data(
            source="folder",
            path=str(path),
            nested=command.nested,
            group=command.group,
        )
        files = listing.folder(path, command.nested, command.group)
    with progress.stage(console, "look", len(files.paths)) as advance:
        looks = audit.files(files, advance)
    return place, files, looks, None


def _look_at_arrays(command):
    for flag in ("group", "page"):
        value = getattr(command, flag)
        if value is not None:
            raise Mistake(f"--{flag} {value} goes with a folder or a .csv")
    if command.size is not None:
        raise Mistake(f"--size is {command.size}; images of an .npz keep their size")
    paths = [path for path in (command.path, command.test) if path is not None]
    splits = [sources.npz_split(path) for path in paths]
    shape = splits[0].image.shape[1:]
    for path, split in zip(paths, splits):
        if split.image.shape[1:] != shape:
            raise Mistake(
                f"{path} has images of shape {split.image.shape[1:]}, {paths[0]} of "
                f"shape {shape}; wanted the same"
            )
    files = listing.arrays(
        command.path.stem.removesuffix("_train"),
        [(path.name, split.label) for path, split in zip(paths, splits)],
    )
    looks = [seen for split in splits for seen in audit.arrays(split.image)]
    test = None if command.test is None else str(command.test)
    beside = ("meta",) if splits[0].meta is not None else ()
    place = Data(source="npz", train=str(command.path), test=test, meta=beside)
    return place, files, looks, shape


def _proposed(files, train, test, config, shape):
    """What is proposed, ready for JSON."""
    to_train, to_test = (audit.counted(files, rows) for rows in (train, test))
    groups = longtail.groups(list(to_train.values()))
    return {
        "rule": _rule(files, config),
        "test_per_class": config.data.test_per_class,
        "train": to_train,
        "test": to_test,
        "groups": audit.members(groups, files.classes),
        "size": shape[0],
        "range": config.data.range,
        "network": config.model.card()[1].removeprefix("CIFAR "),
        "pretrained": bool(config.model.pretrained),
        "epochs": config.optim.epochs,
    }


def _range(looks):
    """The scale to propose for grey values of more than 8 bits; None: as files have it.

    That is right for those that use more than half of what 16 bits can hold.
    """
    found = audit.span(looks)
    if found is None or found[0] == found[1]:
        return None
    sixteen = not any(look.mode in ("I", "F") and look.span for look in looks)
    return None if sixteen and found[1] - found[0] >= 2**15 else found


def _rule(files, config):
    if files.tests is None:
        whole = ", in whole groups" * bool(files.group)
        return (
            f"proposed split: {config.data.test_per_class} test images of each class, "
            f"or as many as leave half of it, and two, to train on{whole};\n"
            "files that occur more than once are all in the training split"
        )
    unused = "; val is used in neither" if {"val", "test"} <= set(files.split) else ""
    return f"tested on the {files.tests} split that is there{unused}"


def _check(command):
    wanted = Data(
        source="folder",
        path=str(command.path),
        size=command.size,
        test_per_class=command.test_per_class,
        group=command.group,
    )
    limits.check(Config(data=wanted))
    files = {"json": command.json, "config-out": command.config_out}
    for flag, path in {**files, "page": command.page}.items():
        if path is not None and not path.absolute().parent.is_dir():
            raise Mistake(f"--{flag} {path}: the folder {path.parent} does not exist")
        # Of `os.path`, because `Path` raises on a name that is too long.
        if path is not None and os.path.isdir(path):
            raise Mistake(f"--{flag} {path} is a folder, wanted a file")
    path = command.config_out
    if path is not None and os.path.exists(path) and path.stat().st_size:
        raise Mistake(f"--config-out {path} exists; remove it or give another name")
    path = command.page
    if path is not None and os.path.exists(path) and not _is_page(path):
        raise Mistake(f"--page {path} exists; remove it or give another name")
    path = command.json
    # What an inspection has written may be written anew, and nothing else.
    if path is not None and not _of_inspection(path):
        raise Mistake(f"--json {path} exists; remove it or give another name")
    if path is not None and path == command.config_out:
        raise Mistake(f"--json {path} and --config-out {path} are one file; wanted two")


def _is_page(path):
    from ltjax.report import markup

    text = path.read_bytes()[: len(markup.START)]
    return not text or text == markup.START.encode()


def _of_inspection(path):
    if not os.path.exists(path) or not path.stat().st_size:
        return True
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and found.keys() >= {"counts", "proposal"}


def _write(command, found, config, root, console):
    if command.json is not None:
        with _writable("json", command.json):
            write_json(command.json, found)
    if command.page is not None:
        from ltjax.inspect import pairs

        with _writable("page", command.page):
            write_text(command.page, pairs.page(root, found))
        console.print(f"a page of them is {command.page}", soft_wrap=True)
    if command.config_out is not None:
        run = f"python -m ltjax.main --config {shlex.quote(str(command.config_out))}"
        lines = (
            f"{found['images']} images of {found['classes']} classes.",
            "",
            f"    {mistake.shown(run)}",
            "",
            "Proposed by `python -m ltjax.inspect` from the number and the size of the",
            "images; no choice in it was validated.",
        )
        with _writable("config-out", command.config_out):
            text = proposal.text(config, lines)
            command.config_out.write_text(text, encoding="utf-8")
        console.print(f"next: {run}", soft_wrap=True, highlight=False, markup=False)


@contextlib.contextmanager
def _writable(flag, path):
    try:
        yield
    except OSError as error:
        raise Mistake(f"--{flag} {path} cannot be written: {error.strerror}") from error
