"""Examples in docstrings hold, and functions of arrays tell their shapes."""

import ast
import doctest
import importlib
import re
from pathlib import Path

import pytest

import ltjax

ROOT = Path(ltjax.__file__).parent
NUMBER = re.compile(r"-?\d+\.\d*(?:e[+-]?\d+)?")

# The packages whose functions are imported and called with one's own arrays.
PURE = ("losses", "posterior", "evaluation", "classifier", "data/longtail.py")
# Parameters that are arrays wherever they occur.
ARRAYS = {
    *("logits", "member_logits", "log_probs", "probs", "cosines", "confidence"),
    *("labels", "counts", "features", "mean_features", "member_features", "images"),
}
SHAPE = re.compile(r"\[(?:[A-Z]|\.\.\.|sum|steps)[^\]]*\]")


def sources(*places):
    paths = (ROOT / place for place in places)
    found = [file for path in paths for file in (path, *path.rglob("*.py"))]
    return sorted(f for f in found if f.suffix == ".py" and f.name[0] != "_")


class Rounded(doctest.OutputChecker):
    """Compares numbers to as many decimals as the example shows, and no spaces."""

    def check_output(self, want, got, flags):
        shown, found = NUMBER.findall(want), NUMBER.findall(got)
        near = all(self.near(*pair) for pair in zip(shown, found))
        return near and self.rest(want) == self.rest(got)

    @staticmethod
    def near(want, got):
        decimals = len(want.partition(".")[2])
        return abs(float(want) - float(got)) <= 0.51 * 10.0**-decimals

    @staticmethod
    def rest(text):
        return "".join(NUMBER.sub("#", text).split())


EXAMPLES = [
    f"ltjax.{'.'.join(file.relative_to(ROOT).with_suffix('').parts)}"
    for file in sources(".")
    if ">>>" in file.read_text()
]


@pytest.mark.usefixtures("compiled_once")
@pytest.mark.parametrize("module", EXAMPLES)
def test_examples_hold(module):
    runner = doctest.DocTestRunner(Rounded())
    told = []
    for test in doctest.DocTestFinder().find(importlib.import_module(module)):
        runner.run(test, out=told.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(told)


def test_every_pure_package_has_examples():
    with_examples = {name.split(".")[1] for name in EXAMPLES}
    assert with_examples >= {"losses", "posterior", "evaluation", "data"}


@pytest.mark.parametrize(
    ("want", "got", "same"),
    [
        ("Array([0.127, 2.])", "Array([0.12692, 2.0  ])", True),
        ("0.127", "0.1276", False),
        ("[0.1 0.2]", "[0.1]", False),
        ("Array(1., dtype=float32)", "Array(1., dtype=float64)", False),
        ("(2, 3)", "(2, 4)", False),
        ("-10000.", "-1.0000000e+04", True),
    ],
)
def test_numbers_are_compared_as_shown(want, got, same):
    assert Rounded().check_output(want, got, 0) == same


def untold(source):
    """The public functions of a source text that take arrays and tell no shape.

    The module may tell it for all its functions: "logits are [B, E, C]; labels [B]".
    """
    tree = ast.parse(source)
    shared = ast.get_docstring(tree) or ""
    elsewhere = {
        name for name in ARRAYS if re.search(rf"(?i)\b{name} (are )?\[[A-Z.]", shared)
    }
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name[0] != "_":
            arguments = [*node.args.args, *node.args.kwonlyargs]
            arrays = ARRAYS & {argument.arg for argument in arguments} - elsewhere
            text, *_ = (ast.get_docstring(node) or "").split(">>>")
            if arrays and not SHAPE.search(text):
                yield f"{node.name}({', '.join(sorted(arrays))})"


@pytest.mark.parametrize(
    "file", sources(*PURE), ids=lambda file: str(file.relative_to(ROOT))
)
def test_functions_of_arrays_tell_shapes(file):
    assert list(untold(file.read_text())) == []


@pytest.mark.parametrize(
    ("docstring", "told"),
    [
        ("Of logits [N, C].", True),
        ("Of logits [..., C].", True),
        ("Of logits (see [1]).", False),
        ("Of logits.\n\n    >>> f()\n    [N]", False),
    ],
)
def test_an_untold_shape_is_found(docstring, told):
    function = f'def f(logits, labels):\n    """{docstring}"""'
    assert list(untold(function)) == ([] if told else ["f(labels, logits)"])
    module = '"""Logits are [B, E, C]; see [1] for labels [1]."""\n'
    assert list(untold(module + function)) == ([] if told else ["f(labels)"])
