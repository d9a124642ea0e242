"""The file that a path means, which was written on whatever system, within a folder.

No path leads out of the folder: neither `..`, nor a link, nor an absolute one.
"""

import collections
import os
import posixpath
import re

from ltjax.data import entries, kinds
from ltjax.data.names import alike, composed
from ltjax.mistake import Mistake, shown

_MOST_FOLDERS = 1000  # looked into for a hint
_DRIVE = re.compile(r"[A-Za-z]:/")


class Refused(ValueError):
    """A path that is not taken; the message ends a sentence that begins with it."""


class Lookup:
    """Paths of one folder."""

    def __init__(self, root):
        """Of the folder `root`."""
        self._given = os.path.abspath(root)
        self._root = os.path.realpath(root)
        self._real, self._names = {}, {}

    def find(self, written):
        """The normal path below the folder that is meant, and whether a file is there.

        As it is written, or with "/" for a backslash; else the one file that differs in
        nothing but case, Unicode form and a suffix that is missing. Raises `Refused`
        for a path that leaves the folder, and where several files may be meant.
        """
        forms = [self._inside(form, written) for form in _forms(written)]
        for form in forms:
            if self._is_file(form):
                return form, True
        for form in forms:
            near = self._near(form)
            if near:
                return self._inside(near, written), True
        return forms[0], False

    def elsewhere(self, path):
        """A file in the folder that ends as the path, or as its end; None if none does.

        For a hint: the folder that is missing in front, or those that are too much.
        """
        parts = path.replace("\\", "/").split("/")
        for at in range(1, len(parts)):
            end = posixpath.normpath("/".join(parts[at:]))
            if not self._leaves(end) and self._is_file(end):
                return end
        for folder in () if os.path.isabs(path) else self._folders():
            place = posixpath.normpath(posixpath.join(folder, path))
            if not self._leaves(place) and self._is_file(place):
                return place
        return None

    def _folders(self):
        """Some of the folders in the folder, the highest first."""
        left = collections.deque([""])
        for _ in range(_MOST_FOLDERS):
            if not left:
                return
            folder = left.popleft()
            yield folder
            try:
                names, _ = entries.read(self._path(folder), collections.Counter())
            except Mistake:  # one that may not be read
                continue
            left.extend(posixpath.join(folder, name) for name in names)

    def _inside(self, path, written):
        """The normal path below the folder, or `Refused`."""
        place = posixpath.normpath(path)
        if os.path.isabs(place):
            place = self._below(place)
        elif _DRIVE.match(place) and not self._is_file(place):
            place = None
        if place is None or self._leaves(place):
            hint = self.elsewhere(written) if place is None else None
            raise Refused(
                "leaves the folder of the file; wanted a path relative to it"
                + (f"; did you mean {shown(hint)}?" if hint else "")
            )
        return place

    def _below(self, path):
        """An absolute path as one below the folder, or None."""
        if "\0" in path:
            return None
        for root, there in (
            (self._given, path),
            (self._root, self._realpath(path)),
        ):
            if _within(there, root):
                return os.path.relpath(there, root).replace(os.sep, "/")
        return None

    def _realpath(self, path):
        folder, name = os.path.split(path)
        return os.path.join(self._real_folder(folder), name)

    def _real_folder(self, folder):  # a folder holds many files
        if folder not in self._real:
            self._real[folder] = os.path.realpath(os.path.join(self._root, folder))
        return self._real[folder]

    def _leaves(self, path):
        """Whether a normal path, links followed, lies outside."""
        if os.path.isabs(path) or path.split("/")[0] == "..":
            return True
        if "\0" in path:  # no path at all, as reading it will tell
            return False
        there = self._realpath(path)
        if os.path.islink(there):
            there = os.path.realpath(there)
        return not _within(there, self._root)

    def _path(self, place):
        return os.path.join(self._given, place)

    def _is_file(self, place):
        path = self._path(place)
        return os.path.isfile(path) or os.path.islink(path)

    def _near(self, place):
        """The path of the only file whose name is much the same, or None."""
        *folders, last = place.split("/")
        path = ""
        for at, part in enumerate([*folders, last]):
            if self._leaves(posixpath.join(path, part)):
                return None
            names = self._listed(path)[at < len(folders)]
            exact = os.path.isdir(self._path(posixpath.join(path, part)))
            found = [part] if exact and at < len(folders) else _same(part, names)
            if not found:
                return None
            if len(found) > 1:
                listed = " or ".join(shown(name) for name in sorted(found))
                raise Refused(f"may be {listed}; give the whole name")
            path = posixpath.join(path, found[0])
        return path

    def _listed(self, folder):
        """(files, folders) of a folder: {key: names}, for each way to be the same."""
        if folder not in self._names:
            files, folders = (collections.defaultdict(list) for _ in range(2))
            try:
                with os.scandir(self._path(folder)) as inside:
                    for entry in inside:
                        folder_too = entries.leads_to_folder(entry)
                        _add(folders if folder_too else files, entry)
            except (OSError, ValueError):
                pass  # reading the file will tell
            self._names[folder] = files, folders
        return self._names[folder]


def _forms(written):
    """The path as it is written, and with the separators of others turned."""
    texts = [written, written.strip()]
    texts += [text.replace("\\", "/") for text in texts]
    return [text for text in dict.fromkeys(texts) if text]


# Ways in which two names are the same, the closest first.
_KEYS = (composed, alike)


def _add(names, entry):
    stem, suffix = os.path.splitext(entry.name)
    for key in _KEYS:
        names[key, key(entry.name)].append(entry.name)
        if suffix.lower() in kinds.SUFFIXES:
            names[key, "stem", key(stem)].append(entry.name)


def _same(part, names):
    for key in _KEYS:
        if (key, key(part)) in names:
            return names[key, key(part)]
    if os.path.splitext(part)[1].lower() not in kinds.SUFFIXES:
        for key in _KEYS:
            if (key, "stem", key(part)) in names:
                return names[key, "stem", key(part)]
    return []


def _within(path, root):
    try:
        return os.path.commonpath((root, path)) == root
    except ValueError:  # of two drives
        return False
