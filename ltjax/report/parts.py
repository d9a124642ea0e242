"""The parts of a page as files of their own: figures in SVG and PNG, tables in CSV."""

import contextlib
import contextvars
import csv
import io
import re

from ltjax.data.csv_file import cell
from ltjax.mistake import Mistake
from ltjax.report.words import MINUS

_kept = contextvars.ContextVar("kept", default=None)
_DPI = 300
_LONGEST = 50  # letters of a name


@contextlib.contextmanager
def into(folder):
    """A context whose figures and tables become files of a new or empty folder.

    Raises `Mistake` where it cannot be written.
    """
    _check(folder)
    with kept() as found:
        yield
    try:
        folder.mkdir(exist_ok=True)
        for number, (name, files) in enumerate(found, 1):
            for suffix, data in files.items():
                (folder / f"{number:02}-{name}{suffix}").write_bytes(data)
    except OSError as error:
        raise Mistake(
            f"--parts {folder} cannot be written: {error.strerror}"
        ) from error


@contextlib.contextmanager
def kept():
    """A context of a list of the parts made in it: names, and bytes by suffix."""
    found = []
    token = _kept.set(found)
    try:
        yield found
    finally:
        _kept.reset(token)


def drawn(figure, label, svg):
    """Keeps a figure, if anybody does; to be called in the figure's context."""
    if _kept.get() is not None:
        pixels = io.BytesIO()
        figure.savefig(pixels, format="png", dpi=_DPI, metadata={"Software": None})
        _keep(label, {".svg": svg.encode(), ".png": pixels.getvalue()})


def tabled(name, head, groups, words=()):
    """Keeps a table, if anybody does; its first column and `words` hold no figures."""
    if _kept.get() is not None:
        text = io.StringIO(newline="")
        lines = csv.writer(text, lineterminator="\n")
        lines.writerow(map(cell, head))
        for row in (row for rows in groups for row in rows):
            lines.writerow(
                cell(str(each)) if at in (0, *words) else _figure(each)
                for at, each in enumerate(row)
            )
        # Spreadsheets know by the mark that it is UTF-8.
        _keep(name, {".csv": text.getvalue().encode("utf-8-sig")})


def _keep(name, files):
    words = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    short = words if len(words) <= _LONGEST else words[:_LONGEST].rpartition("-")[0]
    _kept.get().append((short, files))


def _figure(text):
    """A figure as programs read it, nothing where there is none.

    Without thousands' commas, and with no sign but an ASCII minus.
    """
    plain = text.replace(MINUS, "-").removeprefix("+")
    if re.fullmatch(r"-?\d{1,3}(,\d{3})+", plain):
        plain = plain.replace(",", "")
    if plain == "-":
        return ""
    return plain if re.match(r"-?\d", plain) else cell(plain)


def _check(folder):
    try:
        if not folder.parent.is_dir() or (folder.exists() and not folder.is_dir()):
            raise Mistake(f"--parts {folder} is not a folder in an existing one")
        if folder.exists() and any(folder.iterdir()):
            raise Mistake(f"--parts {folder} is not empty; give a new folder")
    except OSError as error:  # a name that is too long, or no permission
        raise Mistake(f"--parts {folder}: {error.strerror}") from error
