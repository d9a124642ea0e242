"""What a config may hold, checked before any compute.

A limit stands beside its field, in `Annotated`. Types are checked too: a config file is
Python, and its author may write anything.
"""

import dataclasses
import math
import types
import typing
from collections.abc import Callable
from typing import NamedTuple

from ltjax.config.kind import is_choice, parts, walk
from ltjax.mistake import Mistake


class Limit(NamedTuple):
    """What makes a value right, and the same in words.

    NaN is never right, and None, where its type allows it, always is.
    """

    right: Callable
    words: str


def within(low, high):
    """The limit of a number in low..high."""
    return Limit(lambda value: low <= value <= high, f"in {low}..{high}")


def _is_colour(name):
    # Late: few configs name one.
    from PIL import ImageColor

    try:
        found = ImageColor.getrgb(name)
    except ValueError:
        return False
    return len(found) == 3 and all(0 <= part <= 255 for part in found)


COUNT = Limit(lambda value: value >= 1, "at least 1")
SEVERAL = Limit(lambda value: value >= 2, "at least 2")
FROM_ZERO = Limit(lambda value: value >= 0, "0 or more")
NOT_NEGATIVE = Limit(lambda value: 0 <= value < math.inf, "0 or more, and finite")
POSITIVE = Limit(lambda value: 0 < value < math.inf, "above 0, and finite")
FINITE = Limit(math.isfinite, "finite")
SOME_FINITE = Limit(
    lambda values: values and all(map(math.isfinite, values)), "some finite numbers"
)
SHARE = Limit(lambda value: 0 < value <= 1, "above 0 and at most 1")


def _or_auto(limit):
    words = f"{limit.words}, or auto"
    return Limit(lambda value: value == "auto" or limit.right(value), words)


ALPHA, TAU, EXPONENT = map(_or_auto, (within(0, 1), NOT_NEGATIVE, FINITE))
HALF = within(0, 0.5)
BELOW_ONE = Limit(lambda value: 0 <= value < 1, "0 or more, and below 1")
FACTOR = Limit(lambda value: 1 <= value < math.inf, "1 (balanced) or more, and finite")
DEPTH = Limit(lambda value: value >= 8 and value % 6 == 2, "6n + 2: 8, 20, 32, 44, 56")
COLOUR = Limit(_is_colour, "a colour, such as black or '#7f7f7f'")
ONCE_EACH = Limit(
    lambda values: values and len(set(values)) == len(values),
    "at least one, and none of them twice",
)
RISING = Limit(
    lambda value: -1e300 < value[0] < value[1] < 1e300,
    "two finite numbers, the lower one first",
)
RANGE = Limit(
    lambda value: -1e300 < value[0] <= value[1] < 1e300,
    "two finite numbers, the lower one first, or one twice",
)
SEED = Limit(lambda value: 0 <= value < 2**32, "in 0..4294967295")
FOLDER = Limit(
    lambda value: value.strip(".") and not set(value) & set("/\\\0"),
    "the name of a folder",
)
SHORT = Limit(
    lambda value: len(value.encode(errors="surrogatepass")) <= 200,
    "at most 200 bytes long",
)
# These bound what would fill the memory, or take for ever to find out.
HUNDRED, LAYERS, THOUSAND, MILLION = (
    Limit(lambda value, most=most: value <= most, f"at most {most}")
    for most in (100, 1202, 1000, 1_000_000)
)
INT32 = Limit(lambda value: value < 2**31, "below 2147483648")

# `int | None` is one kind of union, `Literal["a"] | None` the other.
_UNIONS = (types.UnionType, typing.Union)


def check(config):
    """Refuses settings that cannot work: raises `Mistake` for the first one found."""
    check_types(config)
    for path, _, record in walk(config):
        for field in dataclasses.fields(record):
            name, value = _joined(path, field.name), getattr(record, field.name)
            for limit in parts(field)[1]:
                wrong = isinstance(limit, Limit) and value is not None
                if wrong and not limit.right(value):
                    raise Mistake(f"{name} is {value!r}; it must be {limit.words}")
    for _, _, record in walk(config):
        if hasattr(record, "check"):  # a user's own kind needs none
            record.check(config)


def check_types(record, path="", own=False):
    """Raises `Mistake` for the first field of a config that is not of its type.

    Of a user's `own` kind, whose types may be any, fields have to be plain.
    """
    for field in dataclasses.fields(record):
        name, value = _joined(path, field.name), getattr(record, field.name)
        kind = parts(field)[0]
        choice = is_choice(kind)
        if choice:
            _check_kind(name, value, kind)
        elif own and not _plain(value):
            raise Mistake(
                f"{name} is {value!r}; it must be a number, a word, a record, or a "
                "tuple of these, which a run's folder can hold"
            )
        elif not own and not _fits(value, kind):
            raise Mistake(f"{name} is {value!r}; it must be {_words(kind)}")
        if dataclasses.is_dataclass(value):
            strange = choice and not isinstance(value, kind)
            check_types(value, name, own=own or strange)


def _check_kind(name, value, choice):
    """Raises `Mistake` for what is no kind of a choice."""
    wanted = f"a kind of {choice.__name__}, a frozen dataclass with {choice.wanted}"
    record = dataclasses.is_dataclass(value) and not isinstance(value, type)
    if not record or not type(value).__dataclass_params__.frozen:
        raise Mistake(f"{name} is {value!r}; it must be {wanted}")
    # What a choice is besides is read where it is there; its fields have to be.
    needs = ["make", *(field.name for field in dataclasses.fields(choice))]
    lacks = [need for need in needs if not hasattr(value, need)]
    if lacks:
        derive = f"; derive it from ltjax.config.{choice.__name__}"
        raise Mistake(
            f"{name} is {value!r}, which has no {', '.join(lacks)}; it must be {wanted}"
            f"{derive * (lacks != ['make'])}"
        )


def _joined(path, name):
    return f"{path}.{name}" if path else name


def _plain(value):
    if isinstance(value, tuple):
        return all(map(_plain, value))
    if isinstance(value, float):
        return math.isfinite(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = (getattr(value, field.name) for field in dataclasses.fields(value))
        return all(map(_plain, fields))
    return isinstance(value, str | int | None)


def _fits(value, kind):
    parts = typing.get_args(kind)
    if typing.get_origin(kind) is typing.Literal:
        return value in parts
    if typing.get_origin(kind) in _UNIONS:
        return any(_fits(value, part) for part in parts)
    if typing.get_origin(kind) is tuple:
        if not isinstance(value, tuple):
            return False
        kinds = parts[:1] * len(value) if parts[-1] is ... else parts
        return len(value) == len(kinds) and all(map(_fits, value, kinds))
    if not isinstance(kind, type):  # of a user's own kind, whose types may be any
        return _plain(value)
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, int | float if kind is float else kind)


def _words(kind):
    parts = typing.get_args(kind)
    if typing.get_origin(kind) is typing.Literal:
        return " or ".join(repr(part) for part in parts)
    if typing.get_origin(kind) in _UNIONS:
        return " or ".join(_words(part) for part in parts)
    if typing.get_origin(kind) is tuple:
        if parts[-1] is not ...:
            return f"a tuple ({', '.join(map(_words, parts))})"
        return f"a tuple of {_words(parts[0])}"
    return {types.NoneType: "None", int: "an integer", float: "a number"}.get(
        kind, getattr(kind, "__name__", str(kind))
    )
