"""Imports point one way only; read from the source text, the late ones too."""

import ast
import itertools
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

import pytest

import ltjax
from ltjax.classifier import METHODS, NONE
from ltjax.config import Objective, choices

ROOT = Path(ltjax.__file__).parent
sys.path.insert(0, str(ROOT.parent / "experiments"))

import house  # noqa: E402

# Run as `python -m ltjax.main`; only they read the command line.
DOORS = {
    *("main", "replay", "inspect.__main__", "predict.__main__", "report.__main__"),
    *("export.__main__", "route.__main__", "clustering.__main__"),
}
# Who may import, or read, what is another's.
ONLY = {
    "flax.linen": {"models"},
    "orbax": {"workdir.checkpoint"},
    "sys.argv": DOORS,
}
LATE = (
    "tensorflow_datasets",
    "tensorflow",
    "grain",
    "tensorboardX",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "jax2onnx",
    "safetensors",
    "ltjax.export.photo",  # made of onnxscript
)  # imported only inside functions

_FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef


def imported(tree):
    """Dotted names that the nodes of a syntax tree import."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (f"{node.module}." if node.module else "")
            yield from (module + alias.name for alias in node.names)


def at_import(tree):
    """The same, less what is imported only when a function is called."""
    functions = [n for n in ast.walk(tree) if isinstance(n, _FUNCTION)]
    late = {id(node) for function in functions for node in ast.walk(function)}
    for node in ast.walk(tree):
        if id(node) not in late and isinstance(node, ast.Import | ast.ImportFrom):
            yield from imported(node)


def attributes(tree):
    """Dotted names read in an expression, such as sys.argv."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield ast.unparse(node)


def within(name, package):
    return name == package or name.startswith(package + ".")


def violations(module, source):
    """What is wrong with the imports of a source text that is the module of that name.

    Names begin below `ltjax`.
    """
    tree = ast.parse(source)
    names, room = set(imported(tree)), module.split(".")[0]
    for name in sorted(names):
        if name.startswith("."):
            yield f"{room} imports {name}: relative"
        if within(name, "ltjax"):
            other = (name + ".").split(".")[1]
            if other and house.wrong([(room, other)]) and other != room:
                yield f"{room} imports {other}"
            if not other and room != "workdir":  # which writes the version down
                yield f"{room} imports the whole package"
    for name in sorted(names | set(attributes(tree))):
        for package, rooms in ONLY.items():
            allowed = any(within(module, owner) for owner in rooms)
            if within(name, package) and not allowed:
                yield f"{module} uses {name}"
    for name in sorted(set(at_import(tree))):
        itself_late = f"ltjax.{module}" in LATE
        if any(within(name, package) for package in LATE) and not itself_late:
            yield f"{room} imports {name} when it is itself imported"


def module_of(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


SOURCES = house.modules()


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_import_points_the_wrong_way(path):
    assert list(violations(module_of(path), path.read_text())) == []


def test_tensorflow_datasets_comes_with_the_package_and_is_not_loaded():
    # The digits are read, so that no import inside a function is overlooked.
    program = """
import sys
from ltjax import run
from ltjax.data import sources
sources.digits()
print({"tensorflow_datasets", "tensorflow"} & sys.modules.keys())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"
    needed = [line for line in requires("ltjax") if "extra ==" not in line]
    assert any(line.startswith("tensorflow-datasets") for line in needed)


def test_every_room_has_a_floor_and_every_floor_its_rooms():
    rooms = {house.room_of(path) for path in SOURCES} - {"__init__"}
    assert sorted(rooms) == sorted(itertools.chain(*house.FLOORS.values()))
    assert len(house.FLOORS) == 7
    assert sum((ROOT / room).is_dir() for room in rooms) <= 17


def test_the_picture_shows_every_room_and_no_arrow_that_runs_up():
    *picture, told, up = house.picture()
    assert up == "arrows that do not run down: none"
    for room in itertools.chain(*house.FLOORS.values()):
        assert any(line.startswith(f"{room} ") for line in picture)
    assert f"{len(house.arrows())} arrows between rooms" in told


def test_the_page_of_the_house_is_what_the_script_writes():
    text = house.PAGE.read_text(encoding="utf-8")
    assert house.filled(text) == text, "run python experiments/house.py --write"
    assert house.filled(text.replace("| 3 |", "| 4 |")) == text


def test_an_arrow_that_runs_up_is_shown(tmp_path):
    for room, text in {"run": "", "losses": "def f():\n import ltjax.run"}.items():
        (tmp_path / f"{room}.py").write_text(text)
    assert house.arrows(tmp_path) == {("losses", "run"): 1}
    *_, last = house.picture(tmp_path)
    assert last == "arrows that do not run down: losses -> run"


@pytest.mark.parametrize(
    ("room", "source", "wanted"),
    [
        ("losses", "from ltjax.posterior import trees", "losses imports posterior"),
        ("posterior", "import ltjax.models.heads", "posterior imports models"),
        ("posterior", "import ltjax", "posterior imports the whole package"),
        ("classifier", "from ltjax.data import sampling", "classifier imports data"),
        (
            "classifier",
            "def f():\n    from ltjax.representation import schedule",
            "classifier imports representation",
        ),
        ("representation", "from ltjax import config as c", "representation imports"),
        ("run", "from ltjax.main import read", "run imports main"),
        ("stages", "from ltjax.report import table", "stages imports report"),
        ("config", "from ltjax.workdir import claim", "config imports workdir"),
        ("data", "from . import order", "data imports .order: relative"),
        ("data", "from .order import steps", "data imports .order.steps: relative"),
        ("posterior", "from flax import linen as nn", "posterior uses flax.linen"),
        ("posterior", "from flax.linen import Module", "posterior uses flax.linen"),
        ("posterior", "import flax\nflax.linen.Dense(1)", "posterior uses flax.linen"),
        ("run", "from orbax.checkpoint import v1 as ocp", "run uses orbax"),
        ("workdir.claim", "import orbax.checkpoint", "workdir.claim uses orbax"),
        ("predict.story", "import sys\nsys.argv", "predict.story uses sys.argv"),
        ("run", "import sys\nargs = sys.argv[1:]", "run uses sys.argv"),
        ("run", "from sys import argv", "run uses sys.argv"),
        ("data", "import tensorflow_datasets as tfds", "data imports tensorflow_data"),
        ("data", "if 1:\n    from tensorflow import io", "data imports tensorflow.io"),
    ],
)
def test_a_planted_violation_is_found(room, source, wanted):
    found = list(violations(room, source))
    assert found
    assert found[0].startswith(wanted)


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("losses", "from ltjax.losses.adjusted import cross_entropy"),
        ("posterior", "from ltjax.posterior import trees\nfrom flax import struct"),
        ("models", "from flax import linen as nn"),
        ("run", "from ltjax.stages import features\nimport sys\nsys.stderr.flush()"),
        ("main", "def main():\n    from ltjax.run import run"),
        ("data", "def tfds():\n    import tensorflow_datasets"),
    ],
)
def test_what_is_allowed_passes(room, source):
    assert list(violations(room, source)) == []


# What is called in one place only, and how long anything is

MOST = {"lines of a file": 300, "lines of a function": 60, "positional names": 6}
RELEASED = {  # signatures that stay as they were released
    "classifier/train.py: fit has 8 positional names",
    "stages/classifier.py: fit has 7 positional names",
}


def too_much(name, source):
    """What is longer in a source text than anything may be."""
    found = [(f"{name} has", "lines of a file", len(source.splitlines()))]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, _FUNCTION):
            lines = node.end_lineno - node.lineno + 1
            found.append((f"{name}: {node.name} has", "lines of a function", lines))
            names = [arg.arg for arg in node.args.posonlyargs + node.args.args]
            count = len([each for each in names if each not in ("self", "cls")])
            found.append((f"{name}: {node.name} has", "positional names", count))
    for where, what, count in found:
        if count > MOST[what]:
            yield f"{where} {count} {what.split(' of')[0]}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_functions_and_signatures_are_short(path):
    name = str(path.relative_to(ROOT))
    assert set(too_much(name, path.read_text())) <= RELEASED


DOORS_OF_ROOMS = sorted(ROOT.rglob("__main__.py"))


@pytest.mark.parametrize("path", DOORS_OF_ROOMS, ids=lambda p: p.parent.name)
def test_doors_are_thin(path):
    assert len(path.read_text().splitlines()) <= 70


def test_what_is_long_is_found():
    long = "def f(a, b, c, d, e, f, g, *, h):\n" + "    g()\n" * 60
    assert list(too_much("x.py", long)) == [
        "x.py: f has 61 lines",
        "x.py: f has 7 positional names",
    ]
    assert list(too_much("x.py", "a = 1\n" * 301)) == ["x.py has 301 lines"]


def test_pixels_become_inputs_in_one_place():
    callers = {
        str(path.relative_to(ROOT))
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).split(".")[-1] == "normalise"
    }
    assert callers == {"stages/system.py"}


# Where the names of methods are given, and asked for.
NAMED = ("classifier.__init__", "config")


def names_of_methods(source):
    """Methods that are named in a source text, and comparisons with no re-training."""
    tree = ast.parse(source)
    compared = [node for node in ast.walk(tree) if isinstance(node, ast.Compare)]
    within_those = {id(part) for node in compared for part in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            none = node.value == NONE and id(node) in within_those
            if none or node.value in METHODS:
                yield node.value


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_method_is_asked_for_by_its_name(path):
    """What differs between methods is in their modules, and there is no exception."""
    if not any(within(module_of(path), place) for place in NAMED):
        assert list(names_of_methods(path.read_text())) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('if row.classifier == "srepr":\n    pass', ["srepr"]),
        ('known = row in ("la", "crt")', ["la", "crt"]),
        ('match name:\n    case "ncm":\n        pass', ["ncm"]),
        ('POWERS = {"lws": None}', ["lws"]),
        ('others = names != {"none"}', ["none"]),
        ('row = Row("swa", "none")', []),  # which every run has
        ('name == "last"', []),
    ],
)
def test_a_planted_name_of_a_method_is_found(source, found):
    assert list(names_of_methods(source)) == found


# What is chosen by a config: backbones, and kinds of an objective. A row of results has
# the name of its backbone in a field, which may be asked for.
CHOSEN = {"sgd", "swa", *choices.KINDS[Objective]}


def names_compared(source):
    """Backbones and objectives that a source text compares something with."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            of_row = any(ast.unparse(side).endswith("['backbone']") for side in sides)
        elif isinstance(node, ast.MatchValue):
            sides, of_row = [node.value], False
        else:
            continue
        parts = [part for side in sides for part in ast.walk(side)]
        for part in parts if not of_row else ():
            if isinstance(part, ast.Constant) and part.value in CHOSEN:
                yield part.value


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_backbone_or_objective_is_asked_for_by_its_name(path):
    if not within(module_of(path), "config"):
        assert list(names_compared(path.read_text())) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('draws = 0 if name == "sgd" else 10', ["sgd"]),
        ('known = backbone.name in ("swa", "sgd")', ["swa", "sgd"]),
        ('if config.objective.word != "ride":\n    pass', ["ride"]),
        ('match name:\n    case "mdcs":\n        pass', ["mdcs"]),
        ('mine = [row for row in rows if row["backbone"] == "swa"]', []),
        ('read(out, "sgd")', []),
    ],
)
def test_a_planted_name_of_a_backbone_or_objective_is_found(source, found):
    assert list(names_compared(source)) == found
