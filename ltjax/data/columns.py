"""Columns of a table that are asked for as metadata: of which kind, and what of them.

`asked` reads the words of a config, `learned` makes `meta.Part`s of the rows to train
on. A kind that is not told is found out: by its name a latitude or a longitude, by its
cells a number, a date or, if neither, a category.
"""

import difflib
import re
from typing import NamedTuple

import numpy as np

from ltjax.data import csv_file, dates, meta
from ltjax.data.meta import Part
from ltjax.mistake import Mistake, shown

# How each kind that may be asked for is called, one and several.
KINDS = {
    "latitude": "degrees of latitude",
    "longitude": "degrees of longitude",
    "time": "dates",
    "day": "dates",
    "category": "categories",
    "number": "numbers",
}
MOST = 1000  # values of a category
_USUAL = 0.95  # of the cells that say something have to be of a kind
_WIDTHS = {"time": 4, "day": 4, "number": 1}
_FIRST = {"time": 0, "day": 0, "place": 1}  # parts' order, as MetaFormer was released
_NAMES = {
    "latitude": {"latitude", "lat", "decimallatitude", "decimal_latitude", "gps_lat"},
    "longitude": {
        *("longitude", "lon", "lng", "long", "decimallongitude", "decimal_longitude"),
        "gps_lon",
    },
}


class Table(NamedTuple):
    """Cells of some columns of a file."""

    file: str
    lines: list  # [N], where the rows stand
    cells: dict  # column -> its cells [N]
    words: tuple = ()  # by which the columns were asked for

    def of(self, rows):
        """Only these rows."""
        cells = {
            name: [cells[row] for row in rows] for name, cells in self.cells.items()
        }
        return self._replace(lines=[self.lines[row] for row in rows], cells=cells)


def asked(words):
    """Pairs (column, kind or None) of words such as `age` and `site:category`.

    Columns are called as `csv_file` calls them: in lower case, with _ for blanks.
    Raises `Mistake` for a kind that there is not, and for a column twice.
    """
    found = []
    for word in words:
        name, colon, kind = word.rpartition(":")
        name, kind = (name, kind.strip()) if colon else (word, None)
        name = csv_file.column(name)
        if not name:
            raise Mistake(f"data.meta has {word!r}; wanted COLUMN or COLUMN:KIND")
        if kind is not None and kind not in KINDS:
            raise Mistake(
                f"data.meta has {word!r}; its kind must be {', '.join(KINDS)}"
            )
        if name in (column for column, _ in found):
            raise Mistake(f"data.meta has {name!r} twice; give every column once")
        found.append((name, kind))
    return found


def check_there(file, wanted, names):
    """Raises `Mistake` for the first wanted column that is not among the names."""
    for column in wanted:
        if column not in names:
            near = difflib.get_close_matches(column, names, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise Mistake(
                f"data.meta has {column!r}, and {shown(file)} has the columns "
                f"{', '.join(map(shown, names))}{hint}"
            )


def told(column, cells):
    """The kind of a column, by its name or, if that says nothing, by its cells."""
    for kind, names in _NAMES.items():
        if column in names:
            return kind
    known = [cell for cell in cells if meta.told(cell) is not None]
    for kind in ("number", "time"):
        right = sum(meta.READERS[kind](cell) is not None for cell in known)
        if known and right >= _USUAL * len(known) and not _is_date(kind, known):
            return kind
    return "category"


def learned(table, whole=None):
    """The `meta.Part`s of a table's columns, as asked for, of the rows to train on.

    `whole` are all rows of its file, which tell in what order dates are written.
    Dates come first, then places, then the others in the order of `words`. Raises
    `Mistake` for what tells nothing, and for what is not of its kind.
    """
    kinds = {
        column: kind or told(column, table.cells[column])
        for column, kind in asked(table.words)
    }
    for column, kind in kinds.items():
        check_kind(column, kind, table)
    parts = [
        _LEARN.get(kind, _learn_dates)(column, kind, table)
        for column, kind in kinds.items()
        if kind not in _NAMES
    ]
    parts = [_as_written(part, whole or table) for part in parts]
    place = _place(kinds, table)
    at = list(kinds).index(place.columns[0]) if place else 0
    before = sum(kind not in _NAMES for kind in list(kinds.values())[:at])
    parts[before:before] = filter(None, [place])
    return tuple(sorted(parts, key=lambda part: _FIRST.get(part.kind, 2)))


def in_words(part):
    """What a `meta.Part` is of and how many numbers it becomes, in words."""
    names, kind = " and ".join(map(shown, part.columns)), part.kind
    what = {
        "place": "a place on a sphere",
        "time": "month and hour on circles",
        "day": "day and second on circles",
        "category": f"one of {part.width:,} categories",
        "number": f"a number, less {part.mean:.4g} and over {part.deviation:.4g}",
        "vector": "as they are",
    }[kind]
    return f"{names}, {what}: {part.width} number{'s' * (part.width != 1)}"


def check_kind(column, kind, table, learned=False):
    """Raises `Mistake` where most cells that say something are of another kind.

    `learned` is whether a run has that kind, which is only given cells here.
    """
    read = meta.READERS.get(kind)
    if read is None:
        return
    known = [
        (line, cell)
        for line, cell in zip(table.lines, table.cells[column])
        if meta.told(cell) is not None
    ]
    wrong = [(line, cell) for line, cell in known if read(cell) is None]
    if 2 * len(wrong) > len(known):
        line, cell = wrong[0]
        wanted = "the run has learned" if learned else f"data.meta {column}:{kind} asks"
        raise Mistake(
            f"{shown(table.file)}, line {line}: {column} is {shown(cell)!r}, as are "
            f"{len(wrong):,} of {len(known):,} no {KINDS.get(kind, 'degrees')}; "
            f"{wanted} {'' if learned else 'for '}{KINDS.get(kind, 'degrees')}"
        )


def _place(kinds, table):
    """The `Part` of latitude and longitude, or None without either."""
    found = {}
    for kind in _NAMES:
        named = [column for column, its in kinds.items() if its == kind]
        if len(named) > 1:
            raise Mistake(f"data.meta has the {kind} twice: {' and '.join(named)}")
        found[kind] = named[0] if named else None
    one, other = found.values()
    if not (one or other):
        return None
    if not (one and other):
        has, lacks = ("latitude", "longitude") if one else ("longitude", "latitude")
        raise Mistake(
            f"data.meta has the {has} {one or other!r} without a {lacks}; a place "
            f"takes both, or give {one or other}:number"
        )
    part = Part("place", (one, other), 3)
    _check_told(f"{one} and {other}", meta.encoded((part,), table), table)
    return part


def _learn_dates(column, kind, table):
    cells = table.cells[column]
    part = Part(kind, (column,), _WIDTHS[kind], day_first=_day_first(column, table))
    rows = [row for row, cell in enumerate(cells) if meta.READERS[kind](cell)]
    _check_told(column, meta.encoded((part,), table.of(rows)), table)
    return part


def _as_written(part, whole):
    """The part with the order of its dates by all rows of the file."""
    if part.kind not in ("time", "day"):
        return part
    return part._replace(day_first=_day_first(part.columns[0], whole))


def check_order(part, table):
    """Refuses dates of new images that show another order than the run has learned."""
    for column in part.columns if part.kind in ("time", "day") else ():
        cells = table.cells.get(column, ())
        day, month = dates.order(cells)
        other = month if part.day_first else day
        if other is not None:
            raise Mistake(
                f"{shown(table.file)}, line {table.lines[other]}: {column} is "
                f"{shown(cells[other])!r}; the run has learned dates with the "
                f"{'day' if part.day_first else 'month'} first"
            )


def _day_first(column, table):
    """Whether the day comes first in the dates of a column that can be read both ways.

    By those that can be read one way only; `Mistake` where these are of both orders.
    """
    cells = table.cells[column]
    day, month = dates.order(cells)
    if None not in (day, month):
        raise Mistake(
            f"{shown(table.file)}: {column} has the day first in line "
            f"{table.lines[day]}, {shown(cells[day])!r}, and the month in line "
            f"{table.lines[month]}, {shown(cells[month])!r}; wanted one order, best "
            "2018-05-13"
        )
    return day is not None or (month is None and dates.usually_day_first(cells))


def _learn_category(column, kind, table):
    found = {cell for cell in table.cells[column] if meta.told(cell) is not None}
    if len(found) > MOST:
        raise Mistake(
            f"{shown(table.file)}: {column} has {len(found):,} values among "
            f"{len(table.lines):,} rows to train on; a category may have {MOST:,}: "
            "leave it out, or give its kind as one of "
            + ", ".join(f"{column}:{each}" for each in ("time", "number"))
        )
    _check_several(column, found, table)
    return Part(kind, (column,), len(found), known=tuple(sorted(found)))


def _learn_number(column, kind, table):
    read = [meta.READERS[kind](cell) for cell in table.cells[column]]
    values = np.array([value for value in read if value is not None])
    _check_several(column, {*values.tolist()}, table)
    # Of halves, so that no sum and no square is beyond what there is.
    mean = float(2 * (values / 2 / len(values)).sum())
    largest = np.abs(values - mean).max()
    deviation = float(largest * np.sqrt(np.square((values - mean) / largest).mean()))
    return Part(kind, (column,), 1, mean=mean, deviation=deviation)


_LEARN = {"category": _learn_category, "number": _learn_number}


def _check_told(column, rows, table):
    """Refuses what is the same in all rows, of numbers [N, width]."""
    _check_several(column, {row.tobytes() for row in rows if row.any()}, table, "")


def _check_several(column, values, table, sign="the value "):
    if len(values) > 1:
        return
    what = "says the same" if values else "says nothing"
    if values and sign:
        what = f"has {sign}{shown(str(*values))!r} only"
    raise Mistake(
        f"{shown(table.file)}: {column} {what} in all {len(table.lines):,} rows to "
        "train on, so it tells no class from another; leave it out of data.meta"
    )


def _is_date(kind, cells):
    """Whether numbers are dates without dashes, such as 20180513."""
    if kind != "number":
        return False
    return all(re.fullmatch(r"(19|20)\d{6}", cell) for cell in cells) and all(
        map(dates.parsed, cells)
    )
