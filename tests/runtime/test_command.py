import dataclasses
from typing import Annotated

import pytest
import tyro

from ltjax.config import Config
from ltjax.runtime import command


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inner:
    """What is inside."""

    path: str = "x"
    """Short."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outer:
    """What it does."""

    size: int = 3
    """One sentence that goes on over
    several lines,

    and after a blank one."""
    bare: int = 4
    inner: Inner = Inner()
    merged: Annotated[Inner, tyro.conf.arg(name="")] = Inner()


def helps(kind):
    return {
        field.name: field.metadata.get("help") for field in dataclasses.fields(kind)
    }


def test_docstrings_of_fields_are_helps_without_line_breaks():
    assert command.documented(Outer) is Outer
    text = "One sentence that goes on over several lines, and after a blank one."
    assert helps(Outer) == {"size": text, "bare": None, "inner": None, "merged": None}
    assert helps(Inner) == {"path": "Short."}
    command.documented(Outer)  # twice is once
    assert helps(Outer)["size"] == text


def test_help_breaks_lines_only_at_its_width(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit):
        tyro.cli(command.documented(Outer), args=["--help"])
    out = capsys.readouterr().out
    assert "goes on over several lines, and after a blank one. (default: 3)" in out
    assert "Short. (default: x)" in out


def test_every_field_of_a_config_has_a_help():
    def missing(kind, path=""):
        for field in dataclasses.fields(kind):
            if dataclasses.is_dataclass(field.type):
                yield from missing(field.type, f"{path}{field.name}.")
            elif not field.metadata.get("help"):
                yield path + field.name

    assert list(missing(command.documented(Config))) == []


def test_values_are_what_they_were():
    assert tyro.cli(command.documented(Outer), args=["--size", "5"]) == Outer(size=5)
