"""Files of a run folder that are read by machines."""

import contextlib
import json
import os

import numpy as np

from ltjax.mistake import Mistake


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


def read_json(file):
    """What a JSON file of a run's folder holds."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise Mistake(f"{file} is damaged ({error}); delete it") from error


@contextlib.contextmanager
def writable(path):
    """A context in which a folder that cannot be written is told in one line."""
    try:
        yield
    except OSError as error:  # which has no `strerror` where it is shutil's
        reason = error.strerror or str(error).splitlines()[0]
        raise Mistake(f"--out {path} cannot be written: {reason}") from error
