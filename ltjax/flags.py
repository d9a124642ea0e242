"""Command lines of dataclasses, whose field docstrings are the help texts."""

import ast
import dataclasses
import inspect
import itertools
import textwrap
import types

import tyro


def parsed(kind, door, args):
    """The `kind` of command that the words after `python -m ltjax.DOOR` are."""
    return tyro.cli(
        documented(kind),
        prog=f"python -m ltjax.{door}",
        args=args,
        config=(tyro.conf.FlagCreatePairsOff,),
    )


def documented(kind):
    """The dataclass `kind`, whose fields carry their docstrings as metadata for tyro.

    Read by itself, tyro keeps the line breaks of a docstring's source. The dataclasses
    of its fields are done, too.
    """
    source = textwrap.dedent(inspect.getsource(kind))
    texts = {
        statement.target.id: inspect.cleandoc(following.value.value)
        for statement, following in itertools.pairwise(ast.parse(source).body[0].body)
        if isinstance(statement, ast.AnnAssign) and _is_text(following)
    }
    for field in dataclasses.fields(kind):
        if field.name in texts:
            text = " ".join(texts[field.name].split())
            field.metadata = types.MappingProxyType({**field.metadata, "help": text})
        inner = getattr(field.type, "__origin__", field.type)  # of an Annotated
        if dataclasses.is_dataclass(inner):
            documented(inner)
    return kind


def _is_text(statement):
    if not isinstance(statement, ast.Expr):
        return False
    value = statement.value
    return isinstance(value, ast.Constant) and isinstance(value.value, str)
