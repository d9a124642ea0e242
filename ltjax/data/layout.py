"""How an image folder is laid out: its splits, and which folders are its classes.

Nothing is read here: a tree of names goes in. What two readers could understand in two
ways is refused, and the message says what to rename.
"""

import collections
from typing import NamedTuple

from ltjax.data import entries, splits
from ltjax.mistake import Mistake, shown

WANTED = "CLASS/*.jpg or train/CLASS/*.jpg in it"
_RUNS = "runs"  # where runs lie by default
_MOST = 5  # names in a message
_OUTSIDE = "images outside the class folders"


class Class(NamedTuple):
    """The folder of a class in a split, with all that is of the class."""

    path: str  # below the root
    name: str
    split: str  # "train", "val" or "test"; "" if there are none
    images: tuple[str, ...]  # paths below the root


def classes(root, top, nested=False):
    """The `Class`es of the `entries.Folder` at `root`, and what was passed over.

    A class is a folder right below a split, or below the root where there are no
    splits, with all images below it. If `nested`, every folder with images right in it
    is one, wherever it lies. Raises `Mistake` where it is not clear what was meant.
    """
    parts = _parts(root, top)
    ignored = collections.Counter()
    if parts:
        ignored += top.ignored
        ignored[_OUTSIDE] += len(top.images)
        beside = next(name for name, split in parts.items() if split == "train")
        ignored[f"folders beside {shown(beside)}/"] += len(top.folders) - len(parts)
    found = []
    for name, split in parts.items() or [("", "")]:
        place = top.folders[name] if name else top
        _check_place(root, name, split, place)
        ignored += place.ignored
        listed = _last(place, name) if nested else _first(place, name)
        ignored[_OUTSIDE] += len(place.images)
        for _, folder in _below(place, name):
            ignored += folder.ignored
        found += [
            Class(path, path.rpartition("/")[2], split, images)
            for path, images in listed
        ]
    if nested:
        _check_nested(root, found)
    return found, ignored


def deeper(found):
    """A line about images that lie deeper than right in the folder of their class."""
    images = [(one, image) for one in found for image in one.images]
    deep = [(one, image) for one, image in images if _folder(image) != one.path]
    if not deep:
        return ""
    one, image = min(deep, key=lambda pair: pair[1])
    return (
        f"{len(deep):,} of {len(images):,} images lie deeper than in the folder of "
        f"their class: {shown(image)} is of {shown(one.name)!r}{nested_hint(found)}"
    )


def nested_hint(found):
    """What ends a message where `nested` would make other classes, and clear ones."""
    folders = {(one.split, _folder(image)) for one in found for image in one.images}
    names = {(split, path.rpartition("/")[2]) for split, path in folders}
    if names == {(one.split, one.name) for one in found} or len(names) < len(folders):
        return ""
    several = sorted({name for _, name in names})
    return (
        "; --nested, of a run --data.nested, takes each last folder as a class: "
        f"{len(several):,}, such as {shown(several[0])!r}"
    )


def meant(top):
    """The path of the only folder below with several folders of images in it, or ""."""
    path, folder = "", top
    while not folder.images:
        inside = [n for n, each in folder.folders.items() if each.images_below()]
        if len(inside) != 1:
            return path if len(inside) > 1 else ""
        path = f"{path}/{inside[0]}" if path else inside[0]
        folder = folder.folders[inside[0]]
    return ""


def _parts(root, top):
    """{name: split} of the folders that are splits, {} if there are none."""
    names = [name for name, folder in top.folders.items() if not _of_runs(name, folder)]
    told = splits.told(names)
    trains = [n for n in told if told[n] == "train" and top.folders[n].folders]
    if trains:
        _check_splits(root, top, told, names)
        return told
    tests = [name for name in told if told[name] != "train"]
    flat = tests and len(tests) < len(told)  # a train/ without folders
    if told and (flat or len(told) == len(names)):
        raise Mistake(f"{shown(root)} has {_listed(told)}, but no train/CLASS in it")
    if tests:
        raise Mistake(
            f"{shown(root)} has {_listed(tests)} among its classes; if that is a "
            "split, put the other classes into train/, if it is a class, rename it"
        )
    hinted = splits.hinted(set(names) - set(told))
    if hinted:
        raise Mistake(
            f"{shown(root)} has {_listed(hinted)}; if these are splits, rename them to "
            "train/, val/ and test/"
        )
    _check_inside(root, top, names)
    return {}


def _check_splits(root, top, told, names):
    """Refuses two names of a split, and images beside that are in none."""
    for split in ("train", "val", "test"):
        several = [name for name in told if told[name] == split]
        if len(several) > 1:
            raise Mistake(
                f"{shown(root)} has {_listed(several)}, which are all the {split} "
                "split; leave one of them there, or rename the others"
            )
    for name in names:
        if name not in told and top.folders[name].images_below():
            raise Mistake(
                f"{shown(root)} has {_listed(told)} and, beside, images in "
                f"{shown(name)}/; if these are a split, rename it to test/ or val/, if "
                "not, move it elsewhere; if train is a class, rename that"
            )


def _check_inside(root, top, names):
    """Refuses folders in which there are splits."""
    holding = [name for name in names if _splits_in(top.folders[name])]
    if not holding:
        return
    inside = _listed(_splits_in(top.folders[holding[0]]))
    if len(holding) == 1:
        raise Mistake(
            f"{shown(root)} has no splits itself, {shown(holding[0])}/ has {inside}; "
            f"did you mean {shown(root)}/{shown(holding[0])}?"
        )
    raise Mistake(
        f"{shown(root)} has {inside} in {_listed(holding)}; splits come first, as "
        f"train/{shown(holding[0])}/*.jpg, or give one of these folders"
    )


def _splits_in(folder):
    """Names of a folder's splits, some images in each; [] if there are not two."""
    told = splits.told(
        [name for name, each in folder.folders.items() if each.images_below()]
    )
    kinds = set(told.values())
    return list(told) if "train" in kinds and len(kinds) > 1 else []


def _check_place(root, name, split, place):
    """Refuses a split with nothing but a folder of its own name: train/train/CLASS."""
    only = list(place.folders)
    if not split or len(only) != 1 or not place.folders[only[0]].folders:
        return
    if splits.told(only).get(only[0]) == split or only[0] == name:
        raise Mistake(
            f"{shown(root)} has nothing but {shown(only[0])}/ in {shown(name)}/; move "
            f"the folders of its classes up, to {shown(name)}/CLASS"
        )


def _check_nested(root, found):
    """Refuses two folders of a split that have one name."""
    seen = {}
    for one in found:
        other = seen.setdefault((one.split, one.name), one)
        if other is not one:
            raise Mistake(
                f"{shown(root)} has two folders {shown(one.name)!r}, "
                f"{shown(other.path)} and {shown(one.path)}; with nested each is a "
                "class: rename one, or leave nested out"
            )


def _first(place, name):
    """(path, paths of images) of the folders right below a place."""
    for inside, folder in place.folders.items():
        if not _of_runs(inside, folder):
            path = f"{name}/{inside}" if name else inside
            yield (
                path,
                tuple(f"{p}/{i}" for p, f in folder.walk(path) for i in f.images),
            )


def _last(place, name):
    """The same of all folders below that have images, or nothing, in them."""
    for path, folder in _below(place, name):
        inside = path.rpartition("/")[2]
        if folder.images or not (folder.folders or _of_runs(inside, folder)):
            yield path, tuple(f"{path}/{image}" for image in folder.images)


def _below(place, name):
    return ((path, folder) for path, folder in place.walk(name) if path != name)


def _of_runs(name, folder):
    """Whether a folder only holds those of runs, or is to hold some."""
    if folder.images_below():
        return False
    runs = any(each.ignored[entries.RUNS] for _, each in folder.walk())
    return runs or name.casefold() == _RUNS


def _folder(path):
    return path.rpartition("/")[0]


def _listed(names):
    """Some of the names of folders in words, the first ones."""
    listed = [f"{shown(name)}/" for name in sorted(names)]
    more = [f"{len(listed) - _MOST} more"] if len(listed) > _MOST + 1 else []
    listed = listed[: _MOST if more else None] + more
    *first, last = listed
    return f"{', '.join(first)} and {last}" if first else last
