"""Which image files a user has, of which class, in which split; nothing is decoded.

An image folder is `train/CLASS/...` with `test/` or `val/` beside it, or plainly
`CLASS/...`. A CSV has the columns path, label and, if it likes, split.
"""

import collections
import csv
import dataclasses
import functools
import os
import posixpath
from pathlib import Path

import numpy as np

from ltjax.data.picture import SUFFIXES
from ltjax.mistake import Mistake, nearest

SPLITS = {
    "train": "train",
    "test": "test",
    "val": "val",
    "valid": "val",
    "validation": "val",
}
_LAYOUT = "CLASS/*.jpg or train/CLASS/*.jpg in it"


@dataclasses.dataclass(frozen=True)
class Listing:
    """Image files with their labels; N of them, C classes."""

    name: str
    root: Path  # where the paths begin
    paths: tuple[str, ...]  # [N], with "/" on every system
    label: np.ndarray  # int32 [N], 0..C-1
    split: tuple[str, ...]  # [N], "train", "val" or "test"; all "" if there are none
    classes: tuple[str, ...]  # [C], sorted, spelled as on disk
    ignored: dict[str, int]  # what was passed over, in words, and how often

    @property
    def tests(self):
        """The split that tests: "test", else "val", else None, to be made."""
        return next((name for name in ("test", "val") if name in self.split), None)


def shown(name):
    """A name that may hold anything a file system allows, as one printable line."""
    text = os.fsencode(name).decode(errors="backslashreplace")
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def found(path):
    """The path, or a `Mistake` that names what lies nearest to it."""
    path = Path(path)
    # Of `os.path`, because `Path` raises on a name that is too long.
    if os.path.exists(path):
        return path
    if os.path.lexists(path):
        raise Mistake(f"{shown(path)} is a link that leads nowhere")
    if not os.path.isdir(path.parent):
        raise Mistake(f"{shown(path)} does not exist, nor does its folder")
    names = [other.name for other in path.parent.iterdir()]
    hint = nearest(path.name, names, lambda name: shown(path.with_name(name)))
    raise Mistake(f"{shown(path)} does not exist{hint}")


def folder(path):
    """The `Listing` of an image folder.

    Images lie at any depth below their class; links to folders are not followed.
    Anything hidden or not named like an image is passed over and counted. With
    `train/`, only `train/`, `test/` and `val/` are looked into.
    """
    root = found(path)
    if not root.is_dir():
        raise Mistake(f"{shown(root)} is a file, wanted a folder with {_LAYOUT}")
    ignored = collections.Counter()
    top, loose = entries(root, ignored)
    ignored["images outside the class folders"] += len(loose)
    splits = [name for name in top if name in SPLITS]
    if "train" in splits and entries(root / "train", collections.Counter())[0]:
        ignored["folders beside train/"] += len(top) - len(splits)
    elif splits and splits == top:
        listed = ", ".join(f"{name}/" for name in splits)
        raise Mistake(f"{shown(root)} has {listed}, but no train/CLASS in it")
    else:
        splits = []
    rows, names = [], set()
    for split in splits or [""]:
        place = root / split
        classes = top
        if split:
            classes, loose = entries(place, ignored)
            ignored["images outside the class folders"] += len(loose)
        names.update(classes)
        for name in classes:
            below = [posixpath.join(split, name)]
            while below:
                relative = below.pop()
                folders, images = entries(root / relative, ignored)
                below += [f"{relative}/{folder}" for folder in folders]
                split_of = SPLITS.get(split, "")
                rows += [(f"{relative}/{image}", name, split_of) for image in images]
    return _listing(root, sorted(rows), names, +ignored)


def table(path):
    """The `Listing` of a CSV with the columns path, label and, optionally, split.

    Paths are relative to the CSV and must stay in its folder, links included: the file
    may come from someone else. A label of the test rows that no training row has is
    refused.
    """
    file = found(path)
    if file.is_dir():
        raise Mistake(f"{shown(file)} is a folder, wanted a .csv file")
    rows, lines = [], {}
    wanted = "path, label and, optionally, split"
    for line, inside, row in csv_rows(file, ("path", "label"), wanted):
        where = f"{shown(file)}, line {line}"
        label = row["label"]
        split = row.get("split", "").strip().lower()
        if not split and "split" in row:
            raise Mistake(f"{where}: the split is empty")
        if not label:
            raise Mistake(f"{where}: the label is empty")
        if inside in lines:
            raise Mistake(
                f"{where}: {shown(row['path'])} is there already, in line "
                f"{lines[inside]}"
            )
        if split not in ("", *SPLITS):
            raise Mistake(
                f"{where}: the split is {shown(split)!r}, wanted train, test or val"
            )
        lines[inside] = line
        rows.append((inside, label, SPLITS.get(split, "")))
    _check_known(file, rows, lines)
    return _listing(file, rows, {label for _, label, _ in rows}, {})


def arrays(name, files):
    """The `Listing` of images in arrays: `files` are pairs (file name, labels [N]).

    The first is for training, a second one for the test; image 3 of a.npz is a.npz[3].
    Classes are named by their numbers, in the order of these.
    """
    label = np.concatenate([labels for _, labels in files])
    splits = ("train", "test") if len(files) == 2 else ("",)
    return Listing(
        name=name,
        root=Path(),
        paths=tuple(f"{f}[{row}]" for f, labels in files for row in range(len(labels))),
        label=label,
        split=tuple(s for s, (_, labels) in zip(splits, files) for _ in labels),
        classes=tuple(map(str, range(1 + int(label.max())))),
        ignored={},
    )


def entries(where, ignored):
    """Names of the folders and of the images in a folder, sorted; counts the rest."""
    folders, images = [], []
    try:
        with os.scandir(where) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    ignored["hidden"] += 1
                elif entry.is_dir(follow_symlinks=False):
                    folders.append(entry.name)
                elif _is_linked_folder(entry):
                    ignored["links to folders"] += 1
                elif os.path.splitext(entry.name)[1].lower() in SUFFIXES:
                    images.append(entry.name)
                else:
                    ignored["files of other kinds"] += 1
    except OSError as error:
        raise Mistake(f"{shown(where)} cannot be read: {error.strerror}") from error
    return sorted(folders), sorted(images)


def csv_rows(file, columns, wanted):
    """(line, normal path, {column: cell}) of each row that is not blank.

    Raises `Mistake` where one of the `columns` is missing, which are, in words, as
    `wanted`, and for a path that is empty or leaves the folder of the file.
    """
    leaves = _leaving(file.parent)
    try:
        with open(file, encoding="utf-8-sig", newline="") as text:
            reader = csv.reader(text, strict=True)
            header = [name.strip().lower() for name in next(reader, [])]
            if not set(columns) <= set(header) or len(set(header)) < len(header):
                listed = ", ".join(shown(name) for name in header) or "none"
                raise Mistake(
                    f"{shown(file)} has the columns {listed}; wanted {wanted}"
                )
            for cells in filter(None, reader):
                where = f"{shown(file)}, line {reader.line_num}"
                if len(cells) != len(header):
                    raise Mistake(
                        f"{where}: {len(cells)} values for {len(header)} columns"
                    )
                row = dict(zip(header, cells))
                place = posixpath.normpath(row["path"])
                if not row["path"]:
                    raise Mistake(f"{where}: the path is empty")
                if leaves(place):
                    raise Mistake(
                        f"{where}: {shown(row['path'])} leaves the folder of the file; "
                        "wanted a path relative to it"
                    )
                yield reader.line_num, place, row
    except Mistake:
        raise
    except (OSError, ValueError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise Mistake(f"{shown(file)} cannot be read as a CSV: {reason}") from error


def _leaving(root):
    """Builds `leaves(path)`: whether a normal path, links followed, lies outside."""
    root = os.path.realpath(root)

    @functools.cache  # a folder holds many files
    def real(folder):
        return os.path.realpath(os.path.join(root, folder))

    def leaves(path):
        if os.path.isabs(path) or path.split("/")[0] == "..":
            return True
        if "\0" in path:  # no path at all, as reading it will tell
            return False
        folder, name = os.path.split(path)
        there = os.path.join(real(folder), name)
        if os.path.islink(there):
            there = os.path.realpath(there)
        return os.path.commonpath((root, there)) != root

    return leaves


def _is_linked_folder(entry):
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _check_known(file, rows, lines):
    known = {label for _, label, split in rows if split in ("train", "")}
    for place, label, _ in rows:
        if label not in known:
            hint = nearest(label, known, lambda name: repr(shown(name)))
            raise Mistake(
                f"{shown(file)}, line {lines[place]}: the label {shown(label)!r} is in "
                f"no training row{hint}"
            )


def _listing(path, rows, names, ignored):
    """Rows (path, class, split) as a `Listing`, refused if they cannot be learned."""
    ignored = dict(sorted(ignored.items()))
    passed = ", ".join(f"{count} {what}" for what, count in ignored.items())
    passed = f" (passed over: {passed})" if passed else ""
    if not rows:
        wanted = "a row per image" if path.is_file() else _LAYOUT
        raise Mistake(f"{shown(path)} has no images, wanted {wanted}{passed}")
    if len(names) < 2:
        only = shown(next(iter(names)))
        raise Mistake(
            f"{shown(path)} has one class, {only!r}; it takes 2 to tell apart{passed}"
        )
    classes = sorted(names)
    number = {name: at for at, name in enumerate(classes)}
    paths, labels, splits = zip(*rows)
    if "train" not in splits and any(splits):
        raise Mistake(f"{shown(path)} has no training images, wanted some")
    return Listing(
        name=path.resolve().stem if path.is_file() else path.resolve().name,
        root=path.parent if path.is_file() else path,
        paths=paths,
        label=np.array([number[name] for name in labels], np.int32),
        split=splits,
        classes=tuple(classes),
        ignored=ignored,
    )
