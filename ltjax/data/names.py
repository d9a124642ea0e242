"""Names of files and of classes: how they are shown, found and told apart."""

import os
import unicodedata
from pathlib import Path

from ltjax.mistake import Mistake, nearest, shown


def found(path):
    """The path, or a `Mistake` that names what lies nearest to it."""
    path = Path(path)
    # Of `os.path`, because `Path` raises on a name that is too long.
    if os.path.exists(path):
        return path
    if os.path.lexists(path):
        raise Mistake(f"{shown(path)} is a link that leads nowhere")
    if not os.path.isdir(path.parent):
        raise Mistake(f"{shown(path)} does not exist, nor does its folder")
    names = [other.name for other in path.parent.iterdir()]
    hint = nearest(path.name, names, lambda name: shown(path.with_name(name)))
    raise Mistake(f"{shown(path)} does not exist{hint}")


def composed(name):
    """The one Unicode form of a name: a Mac writes ä as two characters, others not."""
    return unicodedata.normalize("NFC", name)


def alike(name):
    """The same for names that differ in case, in Unicode form or in blanks around."""
    return composed(name).casefold().strip()
