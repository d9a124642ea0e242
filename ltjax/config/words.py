"""Words of a command line that choose kinds, and flags that are called otherwise."""

import dataclasses
import textwrap

from ltjax.config import choices
from ltjax.config.augment import Augment
from ltjax.config.config import Config
from ltjax.config.kind import is_choice, parts, walk
from ltjax.mistake import Mistake, nearest

# Flags of earlier versions, whole or by their beginning, and what they are called now.
_MOVED = {
    **{
        f"data.{field.name}": f"augment.{field.name}"
        for field in dataclasses.fields(Augment)
    },
    "optim.loss": "objective",
    "optim.ride.": "objective.",
    "optim.shike.": "objective.",
    "optim.mdcs.": "objective.",
    "optim.milestones": "optim.schedule.milestones",
    "optim.factor": "optim.schedule.factor",
    "optim.start_lr": "optim.schedule.start_lr",
    "model.name": "model",
    "model.scale": "model.head.scale",
    "model.frozen": "model.trained",
    "model.experts.": "model.",
}


def chosen(config, words):
    """The config with the kinds that words choose, and the other words.

    `--objective ride` and the like begin with the kind's defaults, and with what the
    config says where it is of that kind. Raises `Mistake` for a kind that is not there,
    and for flags that moved, or are another kind's.
    """
    words = list(words)
    for depth in (1, 2, 3, 4):  # --model, --model.of, ... --model.of.gate.activation
        config, words = _chosen(config, words, depth)
    for word in words:
        flag = word.partition("=")[0]
        path = _path(flag)
        if path and path[0] in Config.__dataclass_fields__ and not _known(config, path):
            _explain(config, flag, path)
    return config, words


def told(config):
    """The choices of a config in lines, for `--help`."""
    yield "Choices, each a word that brings flags of its own, as they are here:"
    for path, choice, record in walk(config):
        if choice is not None:
            known = ", ".join(choices.KINDS[choice])
            line = f"--{path} {choices.word(record)}, of {known}"
            yield from textwrap.wrap(
                line, 78, initial_indent="  ", subsequent_indent="      "
            )


def _chosen(config, words, depth):
    """The same, of the flags of so many parts."""
    rest, words = [], iter(words)
    for word in words:
        flag, equals, value = word.partition("=")
        path = _path(flag)
        choice = _choice(config, path) if len(path) == depth else None
        if choice is None:
            rest.append(word)
            continue
        value = value if equals else next(words, "")
        begun = choices.begun(choice, value)
        if begun is None:
            known = list(choices.KINDS[choice])
            raise Mistake(
                f"{flag} is {value!r}; it must be {' or '.join(known)}"
                f"{nearest(value, known)}"
            )
        config = _with(config, path, begun)
    return config, rest


def _with(record, path, begun):
    """The record with what was begun at a path; with what it says itself, if alike."""
    name, *rest = path
    value = getattr(record, name)
    if rest:
        new = _with(value, rest, begun)
    elif type(value) is type(begun):
        fields = {field.name: field.default for field in dataclasses.fields(begun)}
        said = {name: getattr(begun, name) for name in fields}
        changed = {name: said[name] for name in said if said[name] != fields[name]}
        new = dataclasses.replace(value, **changed)
    else:
        new = begun
    return dataclasses.replace(record, **{name: new})


def _path(flag):
    """The names in a flag; none where it is none."""
    if not flag.startswith("--"):
        return []
    return flag[2:].replace("-", "_").split(".")


def _field(record, path):
    """The field of a record at a path, or None."""
    for name in path[:-1]:
        record = getattr(record, name, None)
    if not dataclasses.is_dataclass(record) or not path:
        return None
    return {field.name: field for field in dataclasses.fields(record)}.get(path[-1])


def _known(config, path):
    return _field(config, path) is not None


def _choice(config, path):
    """The choice that the field at a path is, or None."""
    field = _field(config, path)
    kind = field and parts(field)[0]
    return kind if is_choice(kind) else None


def _explain(config, flag, path):
    """Raises `Mistake` for a flag that moved, or that another kind has."""
    old = ".".join(path)
    for begin, now in _MOVED.items():
        if old == begin or (begin.endswith(".") and old.startswith(begin)):
            new = (now + old.removeprefix(begin)).replace("_", "-")
            raise Mistake(f"{flag} is called --{new} now")
    *above, name = path
    inside = [*above, "of", name]
    if _known(config, inside):
        raise Mistake(f"{flag} is --{'.'.join(inside).replace('_', '-')} of experts")
    choice = _choice(config, above)
    if choice is None:
        return
    having = [
        word
        for word, kind in choices.KINDS[choice].items()
        if isinstance(kind, type) and name in kind.__dataclass_fields__
    ]
    if having:
        place = ".".join(above)
        here = _value(config, above)
        raise Mistake(
            f"{flag} is for --{place} {' or '.join(having)}; here it is "
            f"{choices.word(here)}"
        )


def _value(record, path):
    for name in path:
        record = getattr(record, name)
    return record
