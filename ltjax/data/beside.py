"""What is known beside new images, as a run has learned to read it."""

import zipfile

import numpy as np

from ltjax.data import columns, csv_file, meta
from ltjax.data.dataset import checked_meta
from ltjax.mistake import Mistake, shown


def of_csv(file, parts):
    """The numbers of all rows of a CSV, float32 [N, K], and what is `meta.silent`.

    Columns that are not there are missing in all rows; both are None where none of them
    is there. Raises `Mistake` for cells of another kind than the run has learned.
    """
    table = _table(file, parts)
    if table is None:
        return None, None
    for part in parts:
        for column in part.columns:
            if column in table.cells:
                columns.check_kind(column, part.kind, table, learned=True)
        columns.check_order(part, table)
    return meta.encoded(parts, table), meta.silent(parts, table)


def _table(file, parts):
    """The `columns.Table` of the columns that are there, or None where none is."""
    wanted = set(meta.columns(parts))
    lines, cells = [], {}
    for line, row in csv_file.rows(file, ("path",), "path") if parts else ():
        lines.append(line)
        for column in wanted & row.keys():
            cells.setdefault(column, []).append(row[column])
    return columns.Table(str(file), lines, cells) if cells else None


def of_arrays(file, count, parts):
    """The array `meta` of an `.npz` of so many images, or None, and nothing silent."""
    if not parts:
        return None, None
    try:
        with np.load(file, allow_pickle=False) as archive:
            if "meta" not in archive.files:
                return None, None
            found = archive["meta"]
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise Mistake(f"{shown(file)}: 'meta' cannot be read: {error}") from error
    found = checked_meta(shown(file), found, range(count))
    if found.shape[1] != meta.width(parts):
        raise Mistake(
            f"{shown(file)}: 'meta' has {found.shape[1]} numbers of each image; the "
            f"run has learned {meta.width(parts)}"
        )
    return found, {}
