"""The Python file that holds a run's config."""

import os
import runpy
import traceback

from ltjax.config import Config, limits
from ltjax.mistake import Mistake, nearest


def read(path):
    """The `config` that a Python file assigns. Raises `Mistake` where there is none."""
    if not os.path.isfile(path):  # `Path` raises on a name that is too long
        names = [str(other) for other in path.parent.glob("*.py")]
        raise Mistake(f"--config {path} is not a file{nearest(str(path), names)}")
    try:
        names = runpy.run_path(str(path))
    except (Exception, SystemExit) as error:  # whatever it raises is for its author
        raise Mistake(f"--config {path}{_complaint(path, error)}") from error
    if "config" not in names:
        raise Mistake(f"--config {path} assigns no `config`, an ltjax.config.Config")
    found = names["config"]
    if not isinstance(found, Config):
        raise Mistake(
            f"--config {path} assigns {type(found).__name__} to `config`; "
            "it must be an ltjax.config.Config"
        )
    try:
        limits.check_types(found)
    except Mistake as mistake:
        raise Mistake(f"--config {path}: {mistake}") from mistake
    return found


def _complaint(path, error):
    """Where in the file an exception came from, and its first line."""
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == str(path)
    ]
    where = f", line {lines[-1]}" if lines else ""
    what = str(error).splitlines()[:1]
    return ": ".join([where, type(error).__name__, *what])
