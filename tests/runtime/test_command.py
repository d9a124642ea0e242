import dataclasses
import re
import subprocess
import sys
from typing import Annotated

import pytest
import tyro

from ltjax import replay
from ltjax.config import Config
from ltjax.export import __main__ as export
from ltjax.predict import __main__ as predict
from ltjax.report import __main__ as report
from ltjax.route import __main__ as route
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


@pytest.mark.parametrize("door", [export, predict, replay, report, route])
def test_what_a_run_is_has_one_name_in_every_help(capsys, door):
    with pytest.raises(SystemExit):
        door.main(["--help"])
    out = capsys.readouterr().out
    assert re.match(r"usage: python -m ltjax\.\w+ \[-h\] (\[OPTIONS\] )?RUN\b", out)
    assert "(default: )" not in out  # it has to be given
    assert "\n\n\n" not in out


def test_every_field_of_a_config_has_a_help():
    def missing(kind, path=""):
        for field in dataclasses.fields(kind):
            inner = getattr(field.type, "__origin__", field.type)  # of an Annotated
            if dataclasses.is_dataclass(inner):
                yield from missing(inner, f"{path}{field.name}.")
            elif not field.metadata.get("help"):
                yield path + field.name

    assert list(missing(command.documented(Config))) == []


@dataclasses.dataclass(frozen=True, kw_only=True)
class Door:
    """What a command does."""

    out: str
    """Where it goes, which takes more words than would fit on a single line of help."""
    size: int = 3
    """How large."""
    inner: Inner = Inner()


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("", "missing from python -m ltjax.door: --out STR;"),
        ("--out x --size a", "error parsing --size: invalid literal for int() with"),
        (
            "--out x --sise 3",
            "unrecognized options: --sise, 3; perhaps you meant: --size INT;",
        ),
        (
            "--paht y",
            "missing from python -m ltjax.door: --out STR; unrecognized options: "
            "--paht, y;",
        ),
    ],
)
def test_what_is_refused_is_one_line(
    capsys, monkeypatch, words, line, terminal, encoding
):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    monkeypatch.setattr(type(sys.stdout), "encoding", encoding)
    with pytest.raises(SystemExit) as caught:
        command.parsed(Door, "door", words.split())
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"ltjax: {line}")
    assert err.endswith("; see python -m ltjax.door --help\n")
    assert err.count("\n") == 1
    assert err[:-1].isprintable()  # no colours
    assert "How large" not in err
    assert "Where it goes" not in err


def test_what_else_is_told_while_words_are_read_is_kept(capsys, monkeypatch):
    def cli(*_, **__):
        print("by the way", file=sys.stderr)
        return Outer()

    monkeypatch.setattr(tyro, "cli", cli)
    assert command.parsed(Outer, "door", []) == Outer()
    assert capsys.readouterr().err == "by the way\n"


def test_values_are_what_they_were():
    assert tyro.cli(command.documented(Outer), args=["--size", "5"]) == Outer(size=5)


@pytest.mark.parametrize("door", ["main", "predict"])
def test_a_reader_that_goes_away_needs_no_traceback(door):
    with subprocess.Popen(
        [sys.executable, "-m", f"ltjax.{door}", "--help"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        process.stdout.close()
        complaint = process.stderr.read()
    assert complaint == ""
    assert process.returncode == 1


LEVEL = "--xla_backend_optimization_level=1"


@pytest.mark.parametrize(
    ("plugin", "given", "flags"),
    [
        (None, {}, LEVEL),
        (None, {"XLA_FLAGS": "--xla_dump_to=x"}, f"{LEVEL} --xla_dump_to=x"),
        (None, {"XLA_FLAGS": "a/file"}, "a/file"),
        ("jax_plugins", {}, None),
        ("libtpu", {"XLA_FLAGS": "--xla_dump_to=x"}, "--xla_dump_to=x"),
        ("jax_plugins", {"JAX_PLATFORMS": "cpu"}, LEVEL),
    ],
)
def test_only_a_cpu_is_compiled_for_quickly(plugin, given, flags, monkeypatch):
    environ = dict(given)
    monkeypatch.setattr(command.os, "environ", environ)
    find = {plugin: "found"}.get
    monkeypatch.setattr(command.importlib.util, "find_spec", find)
    command.prepare_jax()
    assert environ.get("XLA_FLAGS") == flags
    assert environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] == "0"


def test_a_place_that_was_asked_for_keeps_the_programs(monkeypatch):
    environ = {"JAX_COMPILATION_CACHE_DIR": "there"}
    monkeypatch.setattr(command.os, "environ", environ)
    command.prepare_jax()
    assert environ["JAX_COMPILATION_CACHE_DIR"] == "there"
