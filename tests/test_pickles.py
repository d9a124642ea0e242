"""Nothing that is read from a file is unpickled: checked in the source text."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ("ltjax", "experiments")
FILES = sorted(
    path for room in (*PACKAGE, "tests") for path in (ROOT / room).rglob("*.py")
)
# Modules that unpickle what they read.
UNPICKLERS = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "shelve"}


def calls(tree, name):
    """The calls of any `...name(...)`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value
            if f"{getattr(owner, 'id', '')}.{node.func.attr}" == name:
                yield node


def imports(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.split(".")[0]


def forbids(call):
    """Whether a call says `allow_pickle=False`."""
    return any(
        word.arg == "allow_pickle" and getattr(word.value, "value", None) is False
        for word in call.keywords
    )


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_arrays_are_read_without_pickles(path):
    tree = ast.parse(path.read_text())
    loads = [*calls(tree, "np.load"), *calls(tree, "numpy.load")]
    assert all(map(forbids, loads)), f"np.load without allow_pickle=False in {path}"
    if path.parts[len(ROOT.parts)] in PACKAGE:
        assert not UNPICKLERS & set(imports(tree))
        assert not list(calls(tree, "torch.load"))


def test_the_rule_finds_what_it_forbids():
    tree = ast.parse("import pickle as p\nnp.load(f)\nnp.load(f, allow_pickle=True)")
    assert [forbids(call) for call in calls(tree, "np.load")] == [False, False]
    assert list(imports(tree)) == ["pickle"]
    good = ast.parse("with np.load(f, allow_pickle=False) as a: pass")
    assert [forbids(call) for call in calls(good, "np.load")] == [True]


def test_there_is_something_to_check():
    loads = [
        call
        for path in FILES
        if path.parts[len(ROOT.parts)] == "ltjax"
        for call in calls(ast.parse(path.read_text()), "np.load")
    ]
    assert len(loads) >= 2
