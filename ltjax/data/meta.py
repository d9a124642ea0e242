"""What is known beside an image, as numbers: where and when it was taken, and more.

Columns of a table become float32 [N, K]. A piece of it is a `Part`: the place of two
columns, or one column as a date, a category or a number. What a column becomes is
learned from the images to train on, and kept with the run.
"""

import math
from typing import NamedTuple

import numpy as np

from ltjax.data import dates
from ltjax.mistake import Mistake, shown

# What cells say where nothing is known.
_NOTHING = {"", "-", "?", "na", "n/a", "#n/a", "nan", "nat", "none", "null"}


class Part(NamedTuple):
    """A piece of what is known: `width` of the K numbers of a row."""

    kind: str  # "place", "time", "day", "category", "number" or "vector"
    columns: tuple  # latitude and longitude of a place, one column of all others
    width: int
    known: tuple = ()  # of a category: its values, in the order of their numbers
    mean: float = 0.0  # of a number, of the images to train on
    deviation: float = 1.0
    day_first: bool = False  # of dates such as 5/6/2018


def spatial(latitude, longitude):
    """A place on the globe, float32 [3]: where it is on a sphere of radius 1.

    Degrees; [cos(lat) cos(lon), cos(lat) sin(lon), sin(lat)]. Zeros where either is
    missing or no number. Raises `Mistake` for degrees that there are not.

    >>> from ltjax.data import meta
    >>> meta.spatial(0.0, 90.0).round(3) + 0.0
    array([0., 1., 0.], dtype=float32)
    >>> meta.spatial(51.5, None)
    array([0., 0., 0.], dtype=float32)
    """
    north, east = _number(latitude), _number(longitude)
    for name, value, (low, high) in (
        ("latitude", north, (-90, 90)),
        ("longitude", east, (-180, 360)),
    ):
        if value is not None and not low <= value <= high:
            raise Mistake(f"{name} is {value:g}; it must be in {low}..{high} degrees")
    if north is None or east is None:
        return np.zeros(3, np.float32)
    north, east = math.radians(north), math.radians(east)
    ring = math.cos(north)
    point = ring * math.cos(east), ring * math.sin(east), math.sin(north)
    return np.array(point, np.float32)


def temporal(text, day_first=False):
    """Month and hour of a date on circles, float32 [4], as MetaFormer was released.

    [sin 2 pi m / 12, cos 2 pi m / 12, sin 2 pi h / 24, cos 2 pi h / 24] of the month m
    in 1..12 and the whole hour h. Zeros for an hour that is not told, and all zeros
    where no date is. Dates are read in any usual spelling (`dates.parsed`).

    >>> from ltjax.data import meta
    >>> meta.temporal("2018-03-13 06:30:00").round(3) + 0.0
    array([1., 0., 1., 0.], dtype=float32)
    >>> meta.temporal("13 March 2018").round(3) + 0.0
    array([1., 0., 0., 0.], dtype=float32)
    """
    moment = _moment(text, day_first)
    if moment is None:
        return np.zeros(4, np.float32)
    hour = None if moment.seconds is None else moment.seconds // 3600 / 24
    return _circles(moment.date.month / 12, hour)


def finer(text, day_first=False):
    """Day of the year and second of the day on circles, float32 [4].

    Like `temporal`, of d / 365.25, where 1 January is d = 0, and of s / 86400.

    >>> from ltjax.data import meta
    >>> meta.finer("1 Jan 2018, 18:00").round(3) + 0.0
    array([ 0.,  1., -1.,  0.], dtype=float32)
    """
    moment = _moment(text, day_first)
    if moment is None:
        return np.zeros(4, np.float32)
    day = (moment.date.timetuple().tm_yday - 1) / 365.25
    return _circles(day, None if moment.seconds is None else moment.seconds / 86400)


def vector(width):
    """The parts of `width` numbers that a file of arrays has itself."""
    return (Part("vector", ("meta",), width),)


def width(parts):
    """K, of all parts."""
    return sum(part.width for part in parts)


def columns(parts):
    """The columns that the parts read."""
    return [column for part in parts for column in part.columns]


def encoded(parts, table):
    """The numbers of some rows, float32 [N, K], of a `columns.Table`.

    Zeros where a cell, or a whole column, is missing, and for a category that was not
    learned. Raises `Mistake`, with the line, for degrees that there are not.
    """
    found = np.zeros((len(table.lines), width(parts)), np.float32)
    first = 0
    for part in parts:
        cells = [table.cells.get(column) for column in part.columns]
        if None not in cells:
            rows = _ENCODERS[part.kind](part, table, *cells)
            found[:, first : first + part.width] = rows
        first += part.width
    return found


def silent(parts, table):
    """In how many rows each column tells nothing of its kind, {column: rows}.

    A column that is not there tells nothing in any row.
    """
    found = {}
    for part in parts:
        for column in part.columns:
            cells = table.cells.get(column)
            right = READERS.get(part.kind, told)
            found[column] = (
                len(table.lines)
                if cells is None
                else sum(right(cell) is None for cell in cells)
            )
    return found


def told(cell):
    """What a cell says, or None where it says that nothing is known."""
    return None if cell.casefold() in _NOTHING else cell


def _number(cell):
    """A finite number, or None; cells may have a decimal comma."""
    if isinstance(cell, str):
        cell = cell.strip()
        if cell.count(",") == 1 and "." not in cell:
            cell = cell.replace(",", ".")
    try:
        value = float(cell)
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


def _moment(text, day_first=False):
    if text is None or told(str(text).strip()) is None:
        return None
    return dates.parsed(str(text), day_first)


# What a cell of a kind tells, or None.
READERS = {
    "place": _number,
    "latitude": _number,
    "longitude": _number,
    "number": _number,
    "time": _moment,
    "day": _moment,
}


def _circles(*turns):
    pairs = (
        (0.0, 0.0)
        if turn is None
        else (math.sin(2 * math.pi * turn), math.cos(2 * math.pi * turn))
        for turn in turns
    )
    return np.array([number for pair in pairs for number in pair], np.float32)


def _places(part, table, latitudes, longitudes):
    rows = []
    for line, *pair in zip(table.lines, latitudes, longitudes):
        try:
            rows.append(spatial(*pair))
        except Mistake as mistake:
            raise Mistake(f"{shown(table.file)}, line {line}: {mistake}") from mistake
    return np.array(rows, np.float32).reshape(-1, 3)


def _times(part, table, cells):
    encode = {"time": temporal, "day": finer}[part.kind]
    rows = [encode(cell, part.day_first) for cell in cells]
    return np.array(rows, np.float32).reshape(-1, 4)


def _categories(part, table, cells):
    number = {name: at for at, name in enumerate(part.known)}
    rows = np.zeros((len(cells), part.width), np.float32)
    for row, cell in enumerate(cells):
        if cell in number:
            rows[row, number[cell]] = 1
    return rows


def _numbers(part, table, cells):
    values = [_number(cell) for cell in cells]
    rows = [
        0.0 if value is None else (value - part.mean) / part.deviation
        for value in values
    ]
    # Farther away nothing was learned, and float32 ends.
    return np.clip(np.array(rows, np.float64), -1e6, 1e6).astype(np.float32)[:, None]


_ENCODERS = {
    "place": _places,
    "time": _times,
    "day": _times,
    "category": _categories,
    "number": _numbers,
}
