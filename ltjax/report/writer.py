"""Files of a run folder that are read by machines."""

import json
import os

import numpy as np

from ltjax.mistake import Mistake


class Writer:
    """Appends events to a file, one JSON object a line, flushed when `write` returns.

    Then `track(event)` gets a copy of it. A context that closes the file. NaN and
    infinity are refused with `ValueError`.
    """

    def __init__(self, path, track=None):
        """Opens the file, which need not exist, after what it holds."""
        self._track = track
        torn = path.exists() and path.read_bytes()[-1:] not in (b"", b"\n")
        self._file = path.open("a", encoding="utf-8")
        # A process that was killed may have left half a line.
        if torn:
            self._file.write("\n")

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._file.close()

    def write(self, event):
        """Appends one event, a dict ready for JSON."""
        line = json.dumps(event, allow_nan=False)
        self._file.write(line + "\n")
        self._file.flush()
        if self._track:
            self._track(json.loads(line))


def check_new(path, overwrite=False):
    """Raises `Mistake` unless a command can write its file, `--out`, to this path."""
    # Of `os.path`, because `Path` raises on a name that is too long.
    above = path.absolute().parent
    if not os.path.isdir(above):
        raise Mistake(f"--out {path}: the folder {path.parent} does not exist")
    if not os.access(above, os.W_OK | os.X_OK):
        raise Mistake(f"--out {path} cannot be written: {above.name} takes no files")
    if os.path.isdir(path):
        raise Mistake(f"--out {path} is a folder, wanted a file")
    if os.path.exists(path) and not overwrite:
        raise Mistake(f"--out {path} exists; give another name, or --overwrite")


def write_json(path, value):
    """Writes a JSON file in one step: it is there whole or not at all.

    NaN and infinity are refused with `ValueError`: no JSON has them.
    """
    text = json.dumps(value, indent=1, allow_nan=False) + "\n"
    _write(path, lambda file: file.write(text.encode()))


def write_arrays(path, arrays):
    """Writes an `.npz` of named arrays in one step."""
    _write(path, lambda file: np.savez_compressed(file, **arrays))


def write_text(path, text):
    """Writes a text file in one step."""
    _write(path, lambda file: file.write(text.encode()))


def _write(path, write):
    part = path.with_name(unfinished(path))
    with part.open("wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def unfinished(path):
    """The name under which a file is written, until it is whole."""
    return path.name + ".part"
