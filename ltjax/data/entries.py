"""What lies in a folder: folders, images, and what is passed over and counted."""

import collections
import json
import os
from typing import NamedTuple

from ltjax.data import kinds
from ltjax.mistake import Mistake, shown

RUNS = "folders of runs"
_OTHERS = "files of other kinds"
_MOST_KINDS = 8  # told by name

# What systems and network disks leave behind; thumbnails among it would be images.
_SYSTEM = (
    "__MACOSX",
    "$RECYCLE.BIN",
    "System Volume Information",
    "lost+found",
    "@eaDir",
    "@Recycle",
    "@Recently-Snapshot",
    "@tmp",
    "#recycle",
    "#snapshot",
    "__pycache__",
    "Thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
)
_KNOWN = {name.casefold(): name for name in _SYSTEM}
_RECORD = "config.json", {"run", "config"}  # of a run, and what it holds
_LARGEST = 2**20  # bytes of a record


class Folder(NamedTuple):
    """A folder, with all that lies below it."""

    folders: dict  # name -> Folder, sorted
    images: list[str]  # names, sorted
    ignored: collections.Counter  # what was passed over right in it

    def walk(self, path=""):
        """(path, folder) of this one and of all below it, with "/" on every system."""
        below = [(path, self)]
        while below:
            path, folder = below.pop()
            yield path, folder
            start = f"{path}/" if path else ""
            inside = [(start + name, each) for name, each in folder.folders.items()]
            below += reversed(inside)

    def images_below(self):
        """Whether there are any, at any depth."""
        return any(folder.images for _, folder in self.walk())


def tree(root):
    """The `Folder` at a path, which must be one. Links to folders are not followed."""
    top = Folder({}, [], collections.Counter())
    below = [(root, top)]
    while below:
        where, folder = below.pop()
        names, images = read(where, folder.ignored)
        folder.images.extend(images)
        for name in names:
            folder.folders[name] = Folder({}, [], collections.Counter())
            below.append((os.path.join(where, name), folder.folders[name]))
    return top


def read(where, ignored):
    """Names of the folders and of the images in a folder, sorted; counts the rest.

    `ignored` counts in words: by name what systems leave behind, by suffix the files of
    other kinds. Folders of runs are passed over with whatever they hold.
    """
    folders, images = [], []
    try:
        with os.scandir(where) as entries:
            for entry in entries:
                kind = _kind(entry)
                if kind == "folder":
                    folders.append(entry.name)
                elif kind == "image":
                    images.append(entry.name)
                else:
                    ignored[kind] += 1
    except OSError as error:
        raise Mistake(f"{shown(where)} cannot be read: {error.strerror}") from error
    return sorted(folders), sorted(images)


def counted(ignored):
    """What was passed over, {words: how often}; rare suffixes are put together."""
    suffixes = {kind: n for kind, n in ignored.items() if kind.startswith(".")}
    rare = sorted(suffixes, key=lambda kind: (-suffixes[kind], kind))[_MOST_KINDS:]
    told = {kind: n for kind, n in sorted(ignored.items()) if n and kind not in rare}
    if rare:
        told[_OTHERS] = sum(suffixes[kind] for kind in rare)
    return told


def told(ignored):
    """The same in a line, with what can be done about it; "" if there is nothing."""
    if not ignored:
        return ""
    parts = ", ".join(f"{count:,} {what}" for what, count in ignored.items())
    advice = kinds.advice(ignored)
    return f"passed over: {parts}" + (f"; {advice}" if advice else "")


def leads_to_folder(entry):
    """Whether an `os.DirEntry` is a folder, or a link to one."""
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _kind(entry):
    """ "folder", "image", or what is passed over in words."""
    if entry.name.startswith("."):
        return "hidden"
    if entry.name.casefold() in _KNOWN:
        return _KNOWN[entry.name.casefold()]
    if entry.is_dir(follow_symlinks=False):
        return RUNS if _is_run(entry.path) else "folder"
    if leads_to_folder(entry):
        return "links to folders"
    suffix = kinds.suffix(entry.name)
    return "image" if suffix in kinds.SUFFIXES else suffix or kinds.NONE


def _is_run(path):
    """Whether it is the folder of a run of this package."""
    name, wanted = _RECORD
    record = os.path.join(path, name)
    try:
        if os.path.getsize(record) > _LARGEST:
            return False
        with open(record, encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(found, dict) and found.keys() >= wanted
