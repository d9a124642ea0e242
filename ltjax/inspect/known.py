"""What a CSV tells beside its images, column by column, and what of it to take."""

import collections
import itertools
import re

from ltjax.data import columns, csv_file, meta
from ltjax.data.columns import Table
from ltjax.mistake import Mistake, shown

_OWN = {"path", "label", *csv_file.SPLITS}


def looked_at(file, labels, words=None, group=None):
    """What each column beside path, label and split is, a list of dicts.

    "column", "word" for `data.meta`, "kind", "words" in which that is told, "missing"
    rows, and "left_out", why it is not proposed, None where it is. `labels` [N] are
    those of its rows. `words` are what was asked for, as `data.meta` has it; None:
    nothing was. `group` is the column whose groups are in one split whole.
    """
    rows = list(csv_file.rows(file, ("path", "label"), "path and label"))
    there = [name for name in (rows[0][1] if rows else ()) if name not in _OWN]
    asked = dict(columns.asked(words or ()))
    columns.check_there(file, asked, there)
    cells = {name: [row[name] for _, row in rows] for name in there if name}
    table = Table(str(file), [line for line, _ in rows], cells)
    kinds = {name: asked.get(name) or columns.told(name, cells[name]) for name in cells}
    whole = _without_half_places(kinds)
    found = []
    for name in cells:
        why = None
        if words is not None and name not in asked:
            why = "was not asked for"
        elif words is None and group and name == csv_file.column(group):
            why = "is the group, of which no test image is known"
        kind, partner = kinds[name], whole.get(name)
        if why is None and partner is None and kind in ("latitude", "longitude"):
            why = f"is a {kind} without the other part of a place"
        if why is None:
            why = _useless(name, kind, partner, table, labels, words is None)
        read = meta.READERS.get(kind, meta.told)
        word = name if kind == columns.told(name, cells[name]) else f"{name}:{kind}"
        found.append(
            {
                "column": name,
                "word": word,
                "kind": kind,
                "words": columns.KINDS[kind],
                "missing": sum(read(cell) is None for cell in cells[name]),
                "left_out": why,
            }
        )
    return found


def proposed(found):
    """The words for `data.meta` of what was found."""
    return tuple(each["word"] for each in found if each["left_out"] is None)


def _without_half_places(kinds):
    """{column of a latitude or a longitude: the other one of its place}."""
    pair = [
        [name for name, kind in kinds.items() if kind == wanted]
        for wanted in ("latitude", "longitude")
    ]
    if any(len(names) != 1 for names in pair):
        return {}
    (north,), (east,) = pair
    return {north: east, east: north}


def _useless(name, kind, partner, table, labels, careful):
    """Why a column is no use, or None; `careful` where nobody has asked for it."""
    words = [f"{name}:{kind}", *([f"{partner}:{_other(kind)}"] if partner else [])]
    try:
        columns.learned(table._replace(words=tuple(words)))
    except Mistake as mistake:
        if not careful:
            raise
        return str(mistake).removeprefix(f"{shown(table.file)}: ")
    return _too_good(table.cells[name], kind, labels) if careful else None


def _other(kind):
    return "longitude" if kind == "latitude" else "latitude"


def _too_good(cells, kind, labels):
    """Why a column is a label by another name, or a number of the row, or None."""
    known = [(cell, label) for cell, label in zip(cells, labels) if meta.told(cell)]
    values = collections.defaultdict(set)
    for cell, label in known:
        values[cell].add(label)
    if kind == "category" and len(values) == len(known):
        return "is another in every row"
    whole = all(re.fullmatch(r"\d+", cell) for cell in cells)
    if whole and kind == "number":
        numbers = list(map(int, cells))
        if all(b - a == 1 for a, b in itertools.pairwise(numbers)):
            return "counts the rows"
    often = 2 * len(values) <= len(known)
    if often and all(len(of) == 1 for of in values.values()):
        return "tells the label of every row that has it, and may be the label itself"
    return None
