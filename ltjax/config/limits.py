"""What a config may hold, checked before any compute.

Types are checked too: a config file is Python, and its author may write anything.
"""

import dataclasses
import functools
import math
import types
import typing

from ltjax.config import relations
from ltjax.mistake import Mistake

# Fields, what makes a value right, and the same in words. NaN is never right, and None,
# where its type allows it, always is.
_LIMITS = (
    (
        (
            "model.width",
            "optim.epochs",
            "optim.batch_size",
            "swa.every_steps",
            "posterior.samples",
            "posterior.chunk",
            "posterior.batch_size",
            "classifier.epochs",
            "classifier.batch_size",
            "classifier.views",
            "checkpoint.keep",
            "data.largest",
            "data.test_per_class",
            "posterior.images",
            "model.experts.count",
            "model.experts.width",
            "optim.mdcs.ramp_epochs",
        ),
        lambda value: value >= 1,
        "at least 1",
    ),
    (("data.size",), lambda value: 8 <= value <= 4096, "in 8..4096"),
    (("data.crop_area",), lambda value: 0 < value <= 1, "above 0 and at most 1"),
    (
        ("data.background",),
        lambda value: _is_colour(value),
        "a colour, such as black or '#7f7f7f'",
    ),
    (
        ("data.range",),
        lambda value: -1e300 < value[0] < value[1] < 1e300,
        "two finite numbers, the lower one first",
    ),
    (("data.jitter",), lambda value: 0 <= value < 1, "0 or more, and below 1"),
    (("data.classes", "swa.rank"), lambda value: value >= 2, "at least 2"),
    (("model.frozen",), lambda value: 0 <= value <= 4, "in 0..4"),
    (("data.rotate",), lambda value: 0 <= value <= 180, "in 0..180"),
    (("model.experts.branch",), lambda value: value >= 1, "at least 1"),
    (
        (
            "optim.warmup_epochs",
            "optim.ride.reweight_epoch",
            "data.pad",
            "data.holdout",
            "data.workers",
            "data.cutout",
        ),
        lambda value: value >= 0,
        "0 or more",
    ),
    (
        (
            "optim.weight_decay",
            "posterior.scale",
            "classifier.weight_decay",
            "classifier.tau",
            "checkpoint.every_seconds",
            "optim.mdcs.consistency",
        ),
        lambda value: 0 <= value < math.inf,
        "0 or more, and finite",
    ),
    (
        (
            *("optim.lr", "optim.start_lr", "swa.lr", "classifier.lr"),
            *("classifier.srepr.temperature", "model.scale"),
        ),
        lambda value: 0 < value < math.inf,
        "above 0, and finite",
    ),
    (("classifier.tau_norm", "optim.ride.diversity"), math.isfinite, "finite"),
    (("optim.factor",), lambda value: 0 < value <= 1, "above 0 and at most 1"),
    (
        ("optim.mdcs.scales",),
        lambda value: value and all(map(math.isfinite, value)),
        "some finite numbers",
    ),
    # Beyond, the weight of a head class is lost in float32.
    (("classifier.rho",), lambda value: 0 <= value <= 5, "in 0..5"),
    (
        ("data.imbalance_factor",),
        lambda value: 1 <= value < math.inf,
        "1 (balanced) or more, and finite",
    ),
    (
        ("optim.momentum", "optim.ride.reweight_factor", "classifier.momentum"),
        lambda value: 0 <= value < 1,
        "0 or more, and below 1",
    ),
    (("classifier.srepr.alpha",), lambda value: 0 <= value <= 1, "in 0..1"),
    (
        ("model.depth",),
        lambda value: value >= 8 and value % 6 == 2,
        "6n + 2: 8, 20, 32, 44, 56",
    ),
    # Further rows bound what would fill the memory, or take for ever to find out.
    (("model.experts.count",), lambda value: value <= 100, "at most 100"),
    (("model.depth",), lambda value: value <= 1202, "at most 1202"),
    (
        ("optim.epochs", "classifier.epochs", "data.classes"),
        lambda value: value <= 1_000_000,
        "at most 1000000",
    ),
    (
        (
            "data.workers",
            "posterior.samples",
            "posterior.chunk",
            "classifier.views",
        ),
        lambda value: value <= 1000,
        "at most 1000",
    ),
    (
        (
            "model.width",
            "model.experts.width",
            "optim.batch_size",
            "posterior.batch_size",
            "posterior.images",
            "classifier.batch_size",
            "checkpoint.keep",
            "swa.every_steps",
            "swa.rank",
            "data.largest",
            "data.test_per_class",
            "data.holdout",
            "data.pad",
            "data.cutout",
        ),
        lambda value: value < 2**31,
        "below 2147483648",
    ),
    (
        ("seed", "data.subset_seed"),
        lambda value: 0 <= value < 2**32,
        "in 0..4294967295",
    ),
    (
        ("name",),
        lambda value: value.strip(".") and not set(value) & set("/\\\0"),
        "the name of a folder",
    ),
    (
        ("name",),
        lambda value: len(value.encode(errors="surrogatepass")) <= 200,
        "at most 200 bytes long",
    ),
)

# `int | None` is one kind of union, `Literal["a"] | None` the other.
_UNIONS = (types.UnionType, typing.Union)


def check(config):
    """Refuses settings that cannot work: raises `Mistake` for the first one found."""
    check_types(config)
    for names, right, words in _LIMITS:
        for name in names:
            value = functools.reduce(getattr, name.split("."), config)
            if value is not None and not right(value):
                raise Mistake(f"{name} is {value!r}; it must be {words}")
    relations.check(config)


def check_types(record, path=""):
    """Raises `Mistake` for the first field of a config that is not of its type."""
    for field in dataclasses.fields(record):
        name, value = f"{path}{field.name}", getattr(record, field.name)
        if not _fits(value, field.type):
            raise Mistake(f"{name} is {value!r}; it must be {_words(field.type)}")
        if dataclasses.is_dataclass(value):
            check_types(value, f"{name}.")


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
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, int | float if kind is float else kind)


def _is_colour(name):
    # Late: few configs name one.
    from PIL import ImageColor

    try:
        parts = ImageColor.getrgb(name)
    except ValueError:
        return False
    return len(parts) == 3 and all(0 <= part <= 255 for part in parts)


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
        kind, kind.__name__
    )
