"""Command lines of dataclasses, whose field docstrings are the help texts."""

import ast
import contextlib
import dataclasses
import importlib.util
import inspect
import io
import itertools
import os
import re
import sys
import textwrap
import types
from pathlib import Path

from ltjax.mistake import Mistake
from ltjax.runtime import shortage

# Parts of a box about the help as a whole, and about that of one flag.
_ASIDES = ("For full helptext", "Argument helptext")


def parsed(kind, door, args):
    """The `kind` of command that the words after `python -m ltjax.DOOR` are."""
    prog = f"python -m ltjax.{door}"
    import tyro  # late: scripts that only need `exit_code` run without

    switches = (tyro.conf.FlagCreatePairsOff,)
    with in_one_line(prog):
        return tyro.cli(documented(kind), prog=prog, args=args, config=switches)


@contextlib.contextmanager
def in_one_line(prog):
    """A context in which what tyro refuses is one line, as any other mistake is.

    It ends by `SystemExit(2)`, as without it.
    """
    told = io.StringIO()
    try:
        with contextlib.redirect_stderr(told):
            yield
    except BrokenPipeError:  # of `--help | head`: what is left of it goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except SystemExit as end:
        if end.code:
            print(
                f"ltjax: {refused(told.getvalue())}; see {prog} --help", file=sys.stderr
            )
        raise
    sys.stderr.write(told.getvalue())


def refused(box):
    """What tyro tells in a box about words that it refuses, as one line.

    Rules divide the box into parts. A part is sentences and then, four spaces to the
    right, names of flags; their help texts, eight to the right, are left out. On a
    terminal there are colours, and where it has no Unicode other lines.
    """
    rows = re.sub("\x1b.*?m", "", box).splitlines()[1:-1]
    rows = [row[2:].rstrip("│ ") for row in rows]
    parts = []
    for ruled, part in itertools.groupby(rows, lambda row: not row.strip("─-")):
        part = [row for row in part if not row.startswith(" " * 8)]
        if not ruled and not part[0].startswith(_ASIDES):
            words = " ".join(row for row in part if not row.startswith(" "))
            names = ", ".join(row.strip() for row in part if row.startswith(" "))
            parts.append(f"{words[:1].lower()}{words[1:]} {names}".strip(" ."))
    return "; ".join(parts)


def documented(kind):
    """The dataclass `kind`, whose fields carry their docstrings as metadata for tyro.

    Read by itself, tyro keeps the line breaks of a docstring's source. The dataclasses
    of its fields are done, too.
    """
    texts = {}
    for each in reversed(kind.__mro__):
        texts |= _texts(each) if dataclasses.is_dataclass(each) else {}
    for field in dataclasses.fields(kind):
        if field.name in texts:
            text = " ".join(texts[field.name].split())
            field.metadata = types.MappingProxyType({**field.metadata, "help": text})
        inner = getattr(field.type, "__origin__", field.type)  # of an Annotated
        if dataclasses.is_dataclass(inner):
            documented(inner)
    return kind


def _texts(kind):
    """The docstrings of the fields of a class, by name; none where its source is not at
    hand, as of a class in a config file."""
    try:
        source = textwrap.dedent(inspect.getsource(kind))
    except (OSError, TypeError):
        return {}
    return {
        statement.target.id: inspect.cleandoc(following.value.value)
        for statement, following in itertools.pairwise(ast.parse(source).body[0].body)
        if isinstance(statement, ast.AnnAssign) and _is_text(following)
    }


def _is_text(statement):
    if not isinstance(statement, ast.Expr):
        return False
    value = statement.value
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


def exit_code(work, name="ltjax"):
    """Calls `work()`; the exit code of a command line of that name.

    0, or 2 after a `Mistake` or where the memory is used up, told in one line, or 130
    after Ctrl-C.
    """
    try:
        work()
    except Mistake as mistake:
        print(f"{name}: {mistake}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{name}: stopped", file=sys.stderr)
        return 130
    except (RuntimeError, MemoryError) as error:
        line = shortage.told(error)
        if line is None:
            raise
        print(f"{name}: {line}", file=sys.stderr)
        return 2
    return 0


def prepare_jax():
    """Has JAX compile quickly, and keep what it compiled; before it is imported.

    Half of a small run is compilation, of many programs that take less than the second
    from which JAX would keep them by itself. The user's own choice of a place counts.
    """
    place = Path.home() / ".cache" / "ltjax"
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(place))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    compile_quickly()


def compile_quickly():
    """Has JAX compile without LLVM's dearest optimizations; before it is imported.

    On a CPU they are a third of all compiling, and make no program here faster
    (docs/performance.md). The user's own flags count.
    """
    # The same flag would weaken what a GPU compiles; its backends are plugins.
    others = map(importlib.util.find_spec, ("jax_plugins", "libtpu"))
    asked = os.environ.get("XLA_FLAGS", "").strip()
    if asked and not asked.startswith("-"):
        return  # a file of flags, to which none can be added
    if os.environ.get("JAX_PLATFORMS") == "cpu" or not any(others):
        os.environ["XLA_FLAGS"] = f"--xla_backend_optimization_level=1 {asked}".strip()
