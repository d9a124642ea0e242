"""The Python file that holds a run's config, and a command line that changes it."""

import dataclasses
import os
import runpy
import traceback
from pathlib import Path

from ltjax.config import limits
from ltjax.config.config import Config
from ltjax.config.kind import walk
from ltjax.config.words import chosen
from ltjax.mistake import Mistake, nearest
from ltjax.runtime.command import documented

# Those that come with ltjax.
CONFIGS = Path(__file__).parents[1] / "configs"


def located(place):
    """The file, as it was named, its path, and the variable that FILE:NAME means.

    NAME is `config` if not given. A FILE that is not there may be one that comes with
    ltjax, by its name, or as `configs/NAME.py`.
    """
    file, _, variable = str(place).rpartition(":")
    if not file or not variable.isidentifier() or os.path.isfile(place):
        file, variable = str(place), "config"
    if os.path.isfile(file):  # `Path` raises on a name that is too long
        return file, Path(file), variable
    folder, name = os.path.split(file)
    stem, suffix = name.removesuffix(".py"), ".py" * name.endswith(".py")
    known = []
    if folder in ("", "configs"):
        ours = CONFIGS / f"{stem}.py"
        if os.path.isfile(ours):
            return file, ours, variable
        stems = (path.stem for path in CONFIGS.glob("[!_]*.py"))
        known = [os.path.join(folder, each + suffix) for each in stems]
    near = nearest(file, [*known, *map(str, Path(folder).glob("*.py"))])
    raise Mistake(f"--config {file} is not a file{near}")


def name_of(place):
    """How a run of FILE:NAME is called: FILE, or FILE_NAME."""
    _, path, variable = located(place)
    return path.stem if variable == "config" else f"{path.stem}_{variable}"


def read(place):
    """The config that FILE:NAME means. Raises `Mistake` where there is none."""
    file, path, variable = located(place)
    try:
        names = runpy.run_path(str(path))
    except (Exception, SystemExit) as error:  # whatever it raises is for its author
        raise Mistake(f"--config {file}{_complaint(path, error)}") from error
    if variable not in names:
        others = [name for name, value in names.items() if isinstance(value, Config)]
        near = (
            f"; it has {', '.join(others)}: give {file}:{others[0]}" if others else ""
        )
        raise Mistake(
            f"--config {file} assigns no `{variable}`, an ltjax.config.Config{near}"
        )
    found = names[variable]
    if not isinstance(found, Config):
        raise Mistake(
            f"--config {file} assigns {type(found).__name__} to `{variable}`; "
            "it must be an ltjax.config.Config"
        )
    try:
        limits.check_types(found)
    except Mistake as mistake:
        raise Mistake(f"--config {file}: {mistake}") from mistake
    return found


def configured(place, words=()):
    """The config that FILE:NAME means, changed by the flags of a command line."""
    import tyro  # late: a file can be read without

    config, words = chosen(read(place), words)
    config = tyro.cli(
        described(config),
        args=words,
        default=config,
        config=(tyro.conf.FlagConversionOff,),
    )
    return named(config, place)


def named(config, place):
    """The config with the name of its file, if it has none."""
    if config.name is not None:
        return config
    return dataclasses.replace(config, name=name_of(place))


def described(config):
    """The class of a config, with the texts of its records for `--help`."""
    for _, choice, record in walk(config):
        documented(type(record))
        if choice is not None:
            # The parser gives flags to a kind only if it derives from its choice.
            choice.register(type(record))
    return type(config)


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
