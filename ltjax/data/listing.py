"""Which image files a user has, of which class, in which split; nothing is decoded.

An image folder is `train/CLASS/...` with `test/` or `val/` beside it, or plainly
`CLASS/...` (`layout`). A CSV has the columns path, label and, if it likes, split
(`csv_file`, `lookup`).
"""

import dataclasses
from pathlib import Path

import numpy as np

from ltjax.data import columns, csv_file, entries, groups, layout, splits
from ltjax.data.columns import Table
from ltjax.data.lookup import Lookup, Refused
from ltjax.data.names import alike, composed, found
from ltjax.mistake import Mistake, nearest, shown


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
    note: str = ""  # what a user should know of the classes, in a line
    group: tuple[str, ...] = ()  # [N], names of what belongs together, or none
    beside: Table | None = None  # what is known beside the images, row by row

    @property
    def tests(self):
        """The split that tests: "test", else "val", else None, to be made."""
        return next((name for name in ("test", "val") if name in self.split), None)


def folder(path, nested=False, group=None):
    """The `Listing` of an image folder; `group` is a pattern of paths (`groups`).

    Images lie at any depth below their class, the first folder, or if `nested` right in
    it, the last; links to folders are not followed. Anything hidden, left by a system
    or not named like an image is passed over and counted, and so are runs of this
    package. Splits go by their usual names in any case. Raises `Mistake` where it is
    not clear which folders are splits, and which classes.
    """
    root = found(path)
    if not root.is_dir():
        raise Mistake(f"{shown(root)} is a file, wanted a folder with {layout.WANTED}")
    top = entries.tree(root)
    listed, ignored = layout.classes(root, top, nested)
    ignored, note = entries.counted(ignored), layout.deeper(listed)
    called = _called(root, listed)
    rows = sorted(
        (image, called[each.name], each.split)
        for each in listed
        for image in each.images
    )
    passed = f" ({entries.told(ignored)})" if ignored else ""
    if not rows:
        raise Mistake(f"{shown(root)} has no images, wanted {layout.WANTED}{passed}")
    inside = layout.meant(top)
    hint = f"; did you mean {shown(root / inside)}?" if inside else ""
    more = hint + layout.nested_hint(listed) + passed
    found_one = _listing(root, rows, set(called.values()), ignored, note, more)
    return found_one if group is None else _by_pattern(found_one, group)


def table(path, group=None, meta=()):
    """The `Listing` of a CSV with the columns path, label and, optionally, split.

    `group` is another column, or a pattern of paths with a part in parentheses. With
    what is known beside the images, of the columns that words of `meta` ask for
    (`columns.asked`).

    Paths must stay in the folder of the CSV, links included: the file may come from
    someone else. Refused are also a label of the test rows that no training row has,
    one in two spellings, and a CSV of which no file is there.
    """
    file = found(path)
    if file.is_dir():
        raise Mistake(f"{shown(file)} is a folder, wanted a .csv file")
    wanted = "path, label and, optionally, split"
    cells = list(csv_file.rows(file, ("path", "label"), wanted))
    column, split_of = _splits(file, cells)
    beside = _beside(file, cells, meta)
    lookup, rows, lines, there = Lookup(file.parent), [], {}, False
    for line, row in cells:
        where = f"{shown(file)}, line {line}"
        inside, is_there = place(lookup, row["path"], where)
        there |= is_there
        label = composed(row["label"])
        if not label:
            raise Mistake(f"{where}: the label is empty")
        if inside in lines:
            raise Mistake(
                f"{where}: {shown(row['path'])} is there already, in line "
                f"{lines[inside]}"
            )
        word = row[column] if column else ""
        if column and word not in split_of:
            told = f"{shown(word)!r}" if word else "empty"
            raise Mistake(f"{where}: the {column} is {told}, wanted train, test or val")
        lines[inside] = line
        rows.append((inside, label, split_of.get(word, "")))
    if not rows:
        raise Mistake(f"{shown(file)} has no images, wanted a row per image")
    _check_known(file, rows, lines)
    _check_spelling(file, rows, lines)
    found_one = _listing(file, rows, {label for _, label, _ in rows}, {})
    if not there:
        raise Mistake(_nothing_there(file, lookup, rows))
    found_one = dataclasses.replace(found_one, beside=beside)
    return found_one if group is None else _by_column(file, found_one, group, cells)


def _by_pattern(found_one, pattern):
    return grouped(found_one, pattern, groups.of_pattern(pattern, found_one.paths))


def _by_column(file, found_one, column, cells):
    """The listing with the groups that a column names; rows are in its order."""
    known = list(cells[0][1])
    name = csv_file.column(column)
    if name not in known:
        if "(" in column:
            return _by_pattern(found_one, column)
        listed = ", ".join(map(shown, known))
        raise Mistake(
            f"{shown(file)} has no column {shown(column)!r} for data.group, it has "
            f"{listed}{nearest(name, known)}"
        )
    for line, row in cells:
        if not row[name]:
            raise Mistake(f"{shown(file)}, line {line}: the {name} is empty")
    return grouped(found_one, column, tuple(row[name] for _, row in cells))


def grouped(found_one, name, names):
    """The listing with the `names` [N] of groups; refused where it has a leak."""
    groups.check(name, names)
    if found_one.tests is not None:
        groups.check_split(name, names, found_one.split)
    return dataclasses.replace(found_one, group=tuple(names))


def _beside(file, cells, meta):
    """The `columns.Table` of what is asked for; None where nothing is."""
    wanted = [column for column, _ in columns.asked(meta)]
    if not wanted:
        return None
    columns.check_there(file, wanted, list(cells[0][1] if cells else ()))
    found = columns.Table(
        str(file),
        [line for line, _ in cells],
        {column: [row[column] for _, row in cells] for column in wanted},
        tuple(meta),
    )
    # What is wrong with it is told before the images are decoded.
    columns.learned(found)
    return found


def place(lookup, written, where):
    """The path below the folder of a CSV that is meant, and whether a file is there.

    `where` begins the `Mistake` that is raised for one that is empty or refused.
    """
    if not written.strip():
        raise Mistake(f"{where}: the path is empty")
    try:
        return lookup.find(written)
    except Refused as error:
        raise Mistake(f"{where}: {shown(written)} {error}") from error


def arrays(name, files):
    """The `Listing` of images in arrays: `files` are pairs (file name, labels [N]).

    The first is for training, a second one for the test; image 3 of a.npz is a.npz[3].
    Classes are named by their numbers, in the order of these.
    """
    label = np.concatenate([labels for _, labels in files])
    parts = ("train", "test") if len(files) == 2 else ("",)
    return Listing(
        name=name,
        root=Path(),
        paths=tuple(f"{f}[{row}]" for f, labels in files for row in range(len(labels))),
        label=label,
        split=tuple(s for s, (_, labels) in zip(parts, files) for _ in labels),
        classes=tuple(map(str, range(1 + int(label.max())))),
        ignored={},
    )


def _called(root, listed):
    """{name of a folder: of its class}.

    In a test split a name of another Unicode form is that of the training folder; one
    that differs from all in case is refused.
    """
    known = {each.name for each in listed if each.split in ("train", "")}
    same = {composed(name): name for name in sorted(known)}
    near = {alike(name): name for name in sorted(known)}
    called = {}
    for each in listed:
        name = each.name
        called[name] = name if name in known else same.get(composed(name), name)
        if called[name] not in known and alike(name) in near:
            raise Mistake(
                f"{shown(root)} has the class {shown(near[alike(name)])!r} to train on "
                f"and {shown(each.path)}/; rename one, if they are the same"
            )
    return called


def _splits(file, cells):
    """The column that tells the split, or None, and {word in it: split}."""
    first = cells[0][1] if cells else {}
    told = {}
    for column in csv_file.SPLITS:
        if column in first:
            told[column] = splits.told({row[column] for _, row in cells})
    if "split" in told:
        return "split", told["split"]
    # Another column is meant only if its words are those of splits.
    meant = [column for column in told if told[column]]
    if len(meant) > 1:
        raise Mistake(
            f"{shown(file)} has splits in {' and '.join(meant)}; call one of them split"
        )
    return (meant[0], told[meant[0]]) if meant else (None, {})


def _check_known(file, rows, lines):
    known = {label for _, label, split in rows if split in ("train", "")}
    for place, label, _ in rows:
        if label not in known:
            hint = nearest(label, known, lambda name: repr(shown(name)))
            raise Mistake(
                f"{shown(file)}, line {lines[place]}: the label {shown(label)!r} is in "
                f"no training row{hint}"
            )


def _check_spelling(file, rows, lines):
    """Refuses `cat` and `Cat`; `a` and `A` are letters, and may well be classes."""
    seen = {}
    for inside, label, _ in rows:
        other, line = seen.setdefault(alike(label), (label, lines[inside]))
        if other != label and len(label) > 1:
            raise Mistake(
                f"{shown(file)}, line {lines[inside]}: the label {shown(label)!r} is "
                f"spelled {shown(other)!r} in line {line}; wanted one spelling"
            )


def _nothing_there(file, lookup, rows):
    first = rows[0][0]
    hint = lookup.elsewhere(first)
    hint = f"; did you mean {shown(hint)}?" if hint else ""
    return (
        f"{shown(file)}: none of its {len(rows):,} files is there; the first is "
        f"{shown(first)}, wanted a path relative to the folder of the file{hint}"
    )


def _listing(path, rows, names, ignored, note="", more=""):
    """Rows (path, class, split) as a `Listing`, refused if they cannot be learned.

    `more` ends the message where there are not two classes.
    """
    present = {name for _, name, _ in rows}
    if len(present) < 2:
        only = "one class" if len(names) < 2 else "images of one class only"
        raise Mistake(
            f"{shown(path)} has {only}, {shown(*present)!r}; it takes 2 to tell apart"
            f"{more}"
        )
    classes = sorted(names)
    number = {name: at for at, name in enumerate(classes)}
    paths, labels, split = zip(*rows)
    if "train" not in split and any(split):
        raise Mistake(f"{shown(path)} has no training images, wanted some")
    return Listing(
        name=path.resolve().stem if path.is_file() else path.resolve().name,
        root=path.parent if path.is_file() else path,
        paths=paths,
        label=np.array([number[name] for name in labels], np.int32),
        split=split,
        classes=tuple(classes),
        ignored=ignored,
        note=note,
    )
