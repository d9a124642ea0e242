"""The folder of an export, which holds one row of one run in one or more formats."""

import os
import shutil
from pathlib import Path

from ltjax.mistake import Mistake
from ltjax.workdir import files

FILES = {
    "safetensors": "model.safetensors",
    "npz": "model.npz",
    "onnx": "model.onnx",
    "photo": "photo.onnx",
    "posterior": "posterior.npz",
}
RECORD, CARD = "export.json", "README.md"
_KEPT = "surrogateescape"
# What two exports of the same row share, the plainest first.
_SHARED = ("classifier", "seed", "name", "classes", "image", "figures", "weights")


def earlier(out, row, overwrite=False):
    """The record of the export that `out` holds, or None.

    Raises `Mistake` unless it may hold one of a row: it is new or empty, has one of the
    same row, or one that `overwrite` lets be replaced.
    """
    with files.writable(out):
        _restore(out)
        there = out.exists()
        above = next(place for place in out.absolute().parents if place.exists())
        if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
            raise Mistake(f"--out {out} cannot be written: {above.name} takes no files")
        if there and not out.is_dir():
            raise Mistake(f"--out {out} is a file; it must be a folder or not exist")
        found = {entry.name for entry in out.iterdir()} if there else set()
    if not found:
        return None
    if RECORD not in found:
        raise Mistake(f"--out {out} holds other files; give a new or empty folder")
    record = files.read_json(out / RECORD)
    held = record.get("files") if isinstance(record, dict) else None
    if not isinstance(held, dict) or not isinstance(record.get("classifier"), str):
        raise Mistake(f"{out / RECORD} is not that of an export; give another --out")
    if record["classifier"] != str(row):
        _check_replaced(out, found, record, f"not {row}", overwrite)
    # What its owner has deleted is not told of again.
    return {**record, "files": {name: held[name] for name in held if name in found}}


def stays(out, record, about, kinds, overwrite=False):
    """Whether the files of the record `earlier` stay beside those of `kinds`.

    They do if they are of the same row of the same run, as `about` tells it. Raises
    `Mistake` where a file would be lost that `overwrite` does not give up: one of the
    same kind, or an export of another run.
    """
    if record is None:
        return False
    other = [name for name in _SHARED if record.get(name) != about[name]]
    if not other:
        for name in (FILES[kind] for kind in kinds):
            if name in record["files"] and not overwrite:
                raise Mistake(
                    f"--out {out} holds {name} already; --overwrite makes it again"
                )
        return True
    why = f"of another run: its {other[0]} differ{'s' * (other[0][-1] != 's')}"
    found = {entry.name for entry in out.iterdir()}
    _check_replaced(out, found, record, why, overwrite)
    return False


def card(out):
    """The text of the card in the folder `out`, "" where there is none."""
    file = out / CARD
    # Its owner may have written in any encoding.
    return file.read_bytes().decode(errors=_KEPT) if file.exists() else ""


def write_card(out, text):
    """Writes it."""
    (out / CARD).write_bytes(text.encode(errors=_KEPT))


def add(part, out):
    """Moves the files of the folder `part` into `out`, the record last.

    Whenever it ends, `out` has all that it had, and its record names nothing more.
    """
    for name in (*FILES.values(), CARD, RECORD):
        if (part / name).exists():
            os.replace(part / name, out / name)


def put(part, out):
    """Moves the folder `part` to `out`; an earlier one is there until then."""
    before = _before(out)
    shutil.rmtree(before, ignore_errors=True)  # that a kill left
    there = out.exists()
    if there:
        os.replace(out, before)
    try:
        os.replace(part, out)
    except OSError:
        if there:
            os.replace(before, out)
        raise
    shutil.rmtree(before, ignore_errors=True)


def part(out):
    """The folder in which files are made, before they are moved to `out`."""
    return Path(f"{os.path.abspath(out)}.part")


def _before(out):
    return Path(f"{part(out)}.before")


def _restore(out):
    """Brings back an export that a kill left between its place and the next one's."""
    if out.exists():  # what was before it is no longer wanted
        shutil.rmtree(_before(out), ignore_errors=True)
    elif _before(out).is_dir():
        os.replace(_before(out), out)


def _check_replaced(out, found, record, why, overwrite):
    """Raises `Mistake` unless a whole export may be replaced by another one."""
    if not overwrite:
        raise Mistake(
            f"--out {out} holds {record['classifier']}, {why}; give another --out, or "
            "--overwrite to replace all of it"
        )
    if found - {RECORD, CARD, *FILES.values()}:
        raise Mistake(f"--out {out} holds other files; give a new or empty folder")
