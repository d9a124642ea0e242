"""A config as JSON, and back; a record of a choice has its `kind` among its fields."""

import dataclasses

from ltjax.config import choices
from ltjax.config.config import Config
from ltjax.config.kind import PLACE, is_choice, parts
from ltjax.mistake import Mistake


def to_json(record, places=True):
    """The JSON data of a record.

    Without `places` it lacks all that is no part of what a run is, marked `PLACE`.
    """
    fields = {}
    for field in dataclasses.fields(record):
        (kind, notes), value = parts(field), getattr(record, field.name)
        if places or PLACE not in notes:
            named = {"kind": choices.word(value)} if is_choice(kind) else {}
            fields[field.name] = _plain(value, named, places)
    return fields


def _plain(value, named, places):
    if dataclasses.is_dataclass(value):
        return named | to_json(value, places)
    return [_plain(each, {}, places) for each in value] if _many(value) else value


def of_json(fields, kind=Config):
    """The record of such data. Raises `Mistake` for what is none of this version.

    A user's own kind comes back as a record of its fields, without `make`.
    """
    if is_choice(kind):
        kind, fields = _kind(fields, kind)
    types = {field.name: parts(field)[0] for field in dataclasses.fields(kind)}
    if not isinstance(fields, dict) or fields.keys() != types.keys():
        raise Mistake(f"{kind.__name__} has another form")
    values = {}
    for name, value in fields.items():
        record = is_choice(types[name]) or dataclasses.is_dataclass(types[name])
        values[name] = of_json(value, types[name]) if record else _tuples(value)
    return kind(**values)


def _kind(fields, choice):
    """The kind that the data name, and the fields of it."""
    if not isinstance(fields, dict) or "kind" not in fields:
        raise Mistake(f"{choice.__name__} has another form")
    fields = dict(fields)
    word = fields.pop("kind")
    found = choices.begun(choice, word)
    if found is not None:
        return type(found), fields
    own = dataclasses.make_dataclass(word, fields, frozen=True, kw_only=True)
    return own, fields


def _many(value):
    return isinstance(value, tuple | list)


def _tuples(value):
    return tuple(map(_tuples, value)) if _many(value) else value
