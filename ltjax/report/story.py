"""The story of a page: read the runs, compare them, write it."""

import contextlib
from pathlib import Path

from ltjax.mistake import Mistake
from ltjax.report import comparison, markup, page, parts
from ltjax.workdir import results
from ltjax.workdir.files import write_text


def made(folders, out=None, into=None):
    """Writes the page of the runs in `folders`; returns where.

    Of one run, or a comparison of several. The folder `into` gets its figures and
    tables as files of their own. Raises `Mistake` for what is no finished
    run, for runs of other data, and where the page cannot be written.
    """
    if not folders:
        raise Mistake("no run is given; give the folder of one, or of several")
    runs = [results.read(folder) for folder in folders]
    place = runs[0].out if len(runs) == 1 else Path()
    file = out or place / markup.FILE
    _check(file)
    with parts.into(into) if into else contextlib.nullcontext():
        if len(runs) == 1:
            text = page.of_run(runs[0])
        else:
            text = comparison.of_settings(comparison.settings(runs))
    try:
        write_text(file, text)
    except OSError as error:
        raise Mistake(f"{file} cannot be written: {error.strerror}") from error
    return file


def _check(file):
    """Refuses to write over what is no page of ours."""
    try:
        if file.is_dir() or not file.parent.is_dir():
            raise Mistake(f"--out {file} is not a file in an existing folder")
        start = markup.START.encode()
        if file.exists() and file.read_bytes()[: len(start)] != start:
            raise Mistake(f"{file} holds something else; give a new file as --out")
    except OSError as error:  # a name that is too long, or no permission
        raise Mistake(f"--out {file}: {error.strerror}") from error
