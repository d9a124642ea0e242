"""The rows of a CSV, by whatever program it was written."""

import csv
import difflib
import itertools
import re

from ltjax.data import kinds
from ltjax.mistake import Mistake, shown

SUFFIXES = (".csv", ".tsv")
_SEPARATORS = (",", ";", "\t")
# What a column may also be called, if no other one is called so.
_ALSO = {
    "path": (
        *("file", "filename", "file_name", "filepath", "file_path", "fname"),
        *("image", "image_file", "image_name", "image_path", "image_id", "imagepath"),
        *("img", "img_name", "img_path", "id_code"),
    ),
    "label": (
        *("class", "classname", "class_name", "category", "category_name", "target"),
        *("label_name", "labels", "species"),
    ),
    "split": ("dataset", "partition", "phase", "set", "subset", "usage"),
}
SPLITS = ("split", *_ALSO["split"])
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")


def cell(value):
    """What stands for a value in a CSV: before text that is a formula there is a '.

    A spreadsheet would work out what begins so; a name of a file may be anybody's.
    """
    formula = isinstance(value, str) and value.startswith(_FORMULAS)
    return f"'{value}" if formula else value


def rows(file, columns, wanted):
    """(line, {column: cell}) of each row that is not blank.

    Columns are separated by commas, semicolons or tabs, and called as the first line
    says, in lower case; those of the `columns` that have another usual name go by that
    of `columns`. Cells are without blanks around them, paths as they are written.

    Raises `Mistake` where one of the `columns` is missing, which are, in words, as
    `wanted`, and for a file that is no CSV.
    """
    try:
        with open(file, encoding=_encoding(file), newline="") as text:
            first = text.readline()
            separator, header = _header(file, first, columns, wanted)
            reader = _reader(itertools.chain([first], text), separator)
            next(reader, None)
            for cells in reader:
                if not any(map(str.strip, cells)):
                    continue
                beyond = any(map(str.strip, cells[len(header) :]))
                if beyond or len(cells) < len(header):
                    raise Mistake(
                        f"{shown(file)}, line {reader.line_num}: {len(cells)} values "
                        f"for {len(header)} columns"
                    )
                row = dict(zip(header, map(str.strip, cells)))
                if "path" in row:
                    row["path"] = cells[header.index("path")]
                yield reader.line_num, row
    except Mistake:
        raise
    except UnicodeError as error:
        raise Mistake(
            f"{shown(file)} cannot be read as a CSV: {error}; save it as UTF-8"
        ) from error
    except (OSError, ValueError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise Mistake(f"{shown(file)} cannot be read as a CSV: {reason}") from error


def _encoding(file):
    with open(file, "rb") as opened:
        marked = opened.read(2) in (b"\xff\xfe", b"\xfe\xff")
    return "utf-16" if marked else "utf-8-sig"


def _reader(lines, separator):
    # Most put a blank behind a comma for the eye.
    return csv.reader(lines, delimiter=separator, strict=True, skipinitialspace=True)


def _header(file, first, columns, wanted):
    """The separator, and the names of the columns."""
    headers = {each: _names(first, each) for each in _SEPARATORS}
    for separator, names in headers.items():
        found = {column: _of(names, column) for column in columns}
        if all(len(at) == 1 for at in found.values()):
            for column, (at,) in found.items():
                names[at] = column
            return separator, names
    names = max(headers.values(), key=len)
    listed = ", ".join(map(shown, filter(None, names))) or "none"
    hint = _hint(names, columns)
    raise Mistake(f"{shown(file)} has the columns {listed}; wanted {wanted}{hint}")


def column(name):
    """The name of a column as `rows` has it."""
    return re.sub(r"[\s-]+", "_", name.strip().lower())


def _names(first, separator):
    cells = next(_reader([first], separator), [])
    names = list(map(column, cells))
    while names and not names[-1]:  # a separator at the end of each line
        names.pop()
    return names


def _of(names, column):
    """Where a column stands: by its name or, if there is none, by another usual one."""
    own = [at for at, name in enumerate(names) if name == column]
    return own or [at for at, name in enumerate(names) if name in _ALSO.get(column, ())]


def _hint(names, columns):
    if any(kinds.suffix(name) in kinds.SUFFIXES for name in names):
        return f"; the first line must name the columns: {','.join(columns)}"
    for column in columns:
        which = [names[at] for at in _of(names, column)]
        if len(set(which)) > 1:
            return f"; call that of {' and '.join(which)} {column!r} which is meant"
        near = [] if which else difflib.get_close_matches(column, names, n=1)
        if near:
            return f"; call {shown(near[0])!r} {column!r} if that is meant"
    return ""
