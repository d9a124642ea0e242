"""A table whose rows are written as they come: a CSV or a Parquet file.

It is there when all of them are, and not before.
"""

import contextlib
import csv
import importlib.util
import io
import json
import os

from ltjax.data.csv_file import cell
from ltjax.mistake import Mistake
from ltjax.workdir.files import check_new, unfinished

_SUFFIXES = (".csv", ".parquet")
_GROUP = 10_000  # rows that Parquet keeps together


def check(path, overwrite=False):
    """Raises `Mistake` unless a sheet can be written to this path."""
    if path.suffix not in _SUFFIXES:
        raise Mistake(f"--out {path} is neither a .csv nor a .parquet; wanted either")
    if path.suffix == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        raise Mistake(
            f"--out {path} needs the package pyarrow (pip install 'ltjax[parquet]'); "
            "a .csv does not"
        )
    check_new(path, overwrite)


@contextlib.contextmanager
def writing(path, columns):
    """A context of `write(rows)`; left by an exception, it leaves no file.

    `columns` names the columns with what their cells are: str, int, float (float32),
    list[str] or list[int]. `rows` are lists of cells by column, None where there is
    nothing. In a CSV, lists are JSON, and text that a spreadsheet would take for a
    formula has a ' before it. Raises `Mistake` where nothing can be written.
    """
    part = path.with_name(unfinished(path))
    with _told(path):
        file = part.open("wb")
    sheet = (_Parquet if path.suffix == ".parquet" else _Csv)(file, columns)

    def write(rows):
        with _told(path):
            sheet.write(rows)

    try:
        yield write
        with _told(path):
            sheet.close()
            file.flush()
            os.fsync(file.fileno())
            file.close()  # Windows renames no open file
            part.replace(path)
    finally:
        with contextlib.suppress(OSError):  # of a full disk, told above
            sheet.close()
            file.close()
        part.unlink(missing_ok=True)


class _Csv:
    def __init__(self, file, columns):
        self._file, self._columns = file, columns
        self._append([columns])

    def write(self, rows):
        self._append(zip(*(map(_cell, rows[name]) for name in self._columns)))

    def close(self):
        pass

    def _append(self, lines):
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows(lines)
        self._file.write(text.getvalue().encode())


class _Parquet:
    def __init__(self, file, columns):
        import pyarrow
        from pyarrow import parquet

        types = {
            str: pyarrow.string(),
            int: pyarrow.int64(),
            float: pyarrow.float32(),
            list[str]: pyarrow.list_(pyarrow.string()),
            list[int]: pyarrow.list_(pyarrow.int64()),
        }
        schema = pyarrow.schema({name: types[kind] for name, kind in columns.items()})
        self._table = pyarrow.Table
        self._file = parquet.ParquetWriter(file, schema)
        self._waiting = {name: [] for name in columns}

    def write(self, rows):
        for name, cells in self._waiting.items():
            cells += rows[name]
        if len(cells) >= _GROUP:
            self._flush()

    def close(self):
        if self._file.is_open:
            self._flush()
            self._file.close()

    def _flush(self):
        self._file.write_table(
            self._table.from_pydict(self._waiting, self._file.schema)
        )
        for cells in self._waiting.values():
            cells.clear()


def _cell(value):
    if isinstance(value, list):
        return json.dumps(value, ensure_ascii=False)
    return cell(value)


@contextlib.contextmanager
def _told(path):
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error).splitlines()[0]
        raise Mistake(f"--out {path} cannot be written: {reason}") from error
