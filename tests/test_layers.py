"""Imports point one way only; read from the source text, the late ones too."""

import ast
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

import pytest

import ltjax

ROOT = Path(ltjax.__file__).parent

# What each room may import from the package, besides itself. A room that is not named
# here is part of the run's story and may know all but the doors.
KNOWS = {
    "trees": set(),
    "machine": set(),
    "shortage": set(),
    "mistake": {"shortage"},
    "losses": set(),
    "evaluation": set(),
    "models": {"mistake"},
    "checkpoint": {"hosts", "mistake", "report", "shortage", "trees"},
    "devices": {"mistake"},
    "hosts": {"mistake", "shortage"},
    "deviations": {"devices", "posterior"},
    "memory": {"deviations", "machine", "mistake", "posterior"},
    "streams": set(),
    "posterior": {"trees"},
    "extractor": {"trees", "posterior"},
    "objective": {"losses", "representation"},
    "representation": {"losses", "posterior", "evaluation", "trees"},
    "classifier": {"losses", "posterior", "evaluation", "trees"},
    "data": {"machine", "mistake"},
    "recipes": {"classifier"},
    "config": {"mistake"},
    "limits": {"config", "mistake", "relations"},
    "relations": {"config", "mistake"},
    "report": {"classifier", "evaluation", "mistake", "rows"},
    "report.__main__": {"compared", "flags", "mistake", "outcome", "report"},
    "predictions": {"report"},
    "examples": {"data", "report"},
    "compared": {"identity", "mistake"},
    "proposal": {"config", "limits"},
    "inspection": {
        *("config", "data", "estimate", "limits", "mistake", "proposal", "report"),
    },
    "views": {"data", "mistake"},
    "lock": {"mistake"},
    "stopped": set(),
    "flags": set(),
    "cache": set(),
    "parallel": {"mistake", "stopped"},
    "divergence": {"mistake", "report"},
    "config_file": {"config", "limits", "mistake"},
    "main": {
        *("cache", "config", "config_file", "flags", "hosts", "limits", "mistake"),
        *("parallel", "report", "run", "seeds", "shortage", "stopped", "tracking"),
    },
    "inspect": {"flags", "inspection", "mistake"},
    "predict": {"cache", "flags", "mistake", "prediction"},
    "route": {"cache", "flags", "mistake", "routed"},
    "cascade": {"classifier", "evaluation", "finished"},
    "deployment": {"classifier", "data", "mistake", "recipes"},
    "rows": {"data", "mistake"},
    "portable": {
        *("backbone", "classifier", "data", "deployment", "finished", "folder"),
        *("mistake", "models", "posterior", "pretrained", "report", "rows"),
    },
    "export": {"flags", "mistake", "portable"},
}
# Run as `python -m ltjax.main`; only they read the command line.
DOORS = {
    *("main", "inspect", "predict", "replay", "report.__main__", "export", "route"),
}
# Who may import, or read, what is another's.
ONLY = {
    "flax.linen": {"models"},
    "orbax": {"checkpoint"},
    "sys.argv": DOORS,
}
LATE = (
    "tensorflow_datasets",
    "tensorflow",
    "grain",
    "tensorboardX",
    "onnx",
    "jax2onnx",
    "safetensors",
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


def violations(room, source):
    """What is wrong with the imports of a source text that lies in `room`."""
    tree = ast.parse(source)
    names = set(imported(tree))
    for name in sorted(names):
        if name.startswith("."):
            yield f"{room} imports {name}: relative"
        if within(name, "ltjax"):
            other = (name + ".").split(".")[1]
            allowed = KNOWS.get(room, {other} - DOORS) | {room}
            if other not in allowed:
                yield f"{room} imports {other or 'the whole package'}"
    for name in sorted(names | set(attributes(tree))):
        for package, rooms in ONLY.items():
            if within(name, package) and room not in rooms:
                yield f"{room} uses {name}"
    for name in sorted(set(at_import(tree))):
        if any(within(name, package) for package in LATE):
            yield f"{room} imports {name} when it is itself imported"


def room_of(path):
    """The first part of a module's name; a package's door is a room of its own."""
    room = path.relative_to(ROOT).parts[0].removesuffix(".py")
    return f"{room}.__main__" if path.name == "__main__.py" else room


SOURCES = sorted(ROOT.rglob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_import_points_the_wrong_way(path):
    assert list(violations(room_of(path), path.read_text())) == []


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


def test_every_room_of_the_table_is_there():
    assert {room_of(path) for path in SOURCES} >= KNOWS.keys()


@pytest.mark.parametrize(
    ("room", "source", "wanted"),
    [
        ("losses", "from ltjax import trees", "losses imports trees"),
        ("posterior", "import ltjax.models.heads", "posterior imports models"),
        ("posterior", "import ltjax", "posterior imports the whole package"),
        ("classifier", "from ltjax.data.order import steps", "classifier imports data"),
        (
            "classifier",
            "def f():\n    from ltjax.representation import schedule",
            "classifier imports representation",
        ),
        ("representation", "from ltjax import config as c", "representation imports"),
        ("run", "from ltjax.main import read", "run imports main"),
        ("main", "from ltjax import backbone", "main imports backbone"),
        ("data", "from . import order", "data imports .order: relative"),
        ("data", "from .order import steps", "data imports .order.steps: relative"),
        ("posterior", "from flax import linen as nn", "posterior uses flax.linen"),
        ("posterior", "from flax.linen import Module", "posterior uses flax.linen"),
        ("posterior", "import flax\nflax.linen.Dense(1)", "posterior uses flax.linen"),
        ("run", "from orbax.checkpoint import v1 as ocp", "run uses orbax"),
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
        ("posterior", "from ltjax import trees\nfrom flax import struct"),
        ("models", "from flax import linen as nn"),
        ("run", "from ltjax import backbone, config\nimport sys\nsys.stderr.flush()"),
        ("main", "def main():\n    from ltjax.run import run"),
        ("data", "def tfds():\n    import tensorflow_datasets"),
    ],
)
def test_what_is_allowed_passes(room, source):
    assert list(violations(room, source)) == []
