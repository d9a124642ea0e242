"""What a run's columns of metadata became, in its folder: `meta.json`."""

from pathlib import Path

from ltjax.data.meta import Part
from ltjax.workdir import files

FILE = "meta.json"


def write(path, data):
    """Writes the parts of a data set's metadata, and how often they tell nothing."""
    if data.beside:
        parts = [part._asdict() for part in data.beside]
        with files.writable(path):
            files.write_json(path / FILE, {"parts": parts, "silent": data.silent})


def read(path):
    """The `meta.Part`s of the run in the folder `path`; () where it has none."""
    file = Path(path) / FILE
    if not file.exists():
        return ()
    return tuple(
        Part(
            **{**part, "columns": tuple(part["columns"]), "known": tuple(part["known"])}
        )
        for part in files.read_json(file)["parts"]
    )


def asked(path, config):
    """The widths of what the run in a folder was asked to take by `data.meta`."""
    return widths(read(path)) if config.data.meta else ()


def widths(parts):
    """How many numbers each has."""
    return tuple(part.width for part in parts)
