"""What a choice of kind is in a config, and what its fields may say of themselves."""

import abc
import dataclasses
import typing


class Kind(abc.ABC):
    """A choice: its value is the record of one kind, which makes what it names.

    `Model`, `Objective`, ... are choices, and derive from it. A kind of theirs is a
    frozen dataclass with `make`, and with `check(config)` where it does not go together
    with every run; a user's own need not be derived.
    """

    wanted = "make(...)"  # and what it gives, in words

    @abc.abstractmethod
    def make(self, *asked):
        """What it names, a pure thing that knows no config."""


class Place:
    """Marks a field that says where or how a thing is read or kept.

    It is no part of what a run is: what was read is told by its own fingerprint.
    """

    def __repr__(self):
        return "PLACE"


PLACE = Place()


def told(record, name):
    """What a kind tells of itself; None of a user's own, whose names mean others.

    One that derives from a choice of ltjax means the same by them.
    """
    derived = Kind in type(record).__mro__
    return getattr(record, name, None) if derived else None


def is_choice(kind):
    """Whether a type is a choice, such as `Model`."""
    return isinstance(kind, type) and Kind in kind.__bases__


def parts(field):
    """The type of a dataclass's field, and what its `Annotated` says besides."""
    if typing.get_origin(field.type) is typing.Annotated:
        return typing.get_args(field.type)[0], field.type.__metadata__
    return field.type, ()


def walk(record, path="", choice=None):
    """Every record of a config: (dotted path, the choice that it is of or None, it).

    The config itself is the first, a record comes before those in it.
    """
    yield path, choice, record
    for field in dataclasses.fields(record):
        value, (kind, _) = getattr(record, field.name), parts(field)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            inner = f"{path}.{field.name}" if path else field.name
            yield from walk(value, inner, kind if is_choice(kind) else None)
