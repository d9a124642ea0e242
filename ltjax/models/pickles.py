"""The pickles of PyTorch's files, run without their power: they make tensors.

A pickle is a program for a small machine with a stack. This one knows the operations
that PyTorch writes; of all that may be asked for by name it has dictionaries, shapes
and tensors, and refuses any other name. What it makes of a tensor is a description.
"""

import pickletools
from collections.abc import Callable
from typing import NamedTuple

import ml_dtypes
import numpy as np

from ltjax.mistake import shown

_TYPES = {
    "DoubleStorage": np.dtype("<f8"),
    "FloatStorage": np.dtype("<f4"),
    "HalfStorage": np.dtype("<f2"),
    "BFloat16Storage": np.dtype(ml_dtypes.bfloat16),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"),
    "CharStorage": np.dtype("i1"),
    "ByteStorage": np.dtype("u1"),
    "BoolStorage": np.dtype("bool"),
}


class Damage(Exception):
    """What is wrong with a file, in words."""


class Storage(NamedTuple):
    """Numbers that lie in the file, by what the pickle calls them."""

    kind: np.dtype
    key: str
    count: int


class Tensor(NamedTuple):
    """A window on a storage; all of it counted in numbers."""

    storage: Storage
    offset: int
    shape: tuple
    strides: tuple


class _Name(NamedTuple):
    """Something that a pickle may ask for by name, and what it makes of arguments."""

    call: Callable


def _tensor(storage, offset, shape, strides, *_):
    if not isinstance(storage, Storage) or not isinstance(offset, int):
        raise Damage("has a tensor without a storage")
    if not isinstance(shape, tuple) or not isinstance(strides, tuple):
        raise Damage("has a tensor without a shape")
    return Tensor(storage, offset, shape, strides)


def _parameter(data, *_):
    return data


def _dictionary(*pairs):
    found = {}
    for key, value in pairs[0] if pairs else ():
        _put(found, key, value)
    return found


def _tuple(*parts):
    return tuple(parts[0]) if parts else ()


_NAMES = {
    ("collections", "OrderedDict"): _Name(_dictionary),
    ("torch", "Size"): _Name(_tuple),
    ("torch._utils", "_rebuild_tensor"): _Name(_tensor),
    ("torch._utils", "_rebuild_tensor_v2"): _Name(_tensor),
    ("torch._utils", "_rebuild_parameter"): _Name(_parameter),
    ("torch.nn.parameter", "Parameter"): _Name(_parameter),
    **{("torch", name): kind for name, kind in _TYPES.items()},
}


def _named(module, name):
    found = _NAMES.get((module, name))
    if found is None:
        raise Damage(
            f"asks for {shown(f'{module}.{name}')}, which is no tensor, and code of a "
            "file is not run here; in PyTorch, "
            "torch.save(model.state_dict(), OTHER) writes tensors alone"
        )
    return found


def _called(name, arguments):
    if not isinstance(name, _Name) or not isinstance(arguments, tuple):
        raise Damage("calls what is no function")
    try:
        return name.call(*arguments)
    except TypeError as error:
        raise Damage("has a tensor of another form than PyTorch's") from error


def _stored(pid):
    """The storage that a persistent id names."""
    if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] != "storage":
        raise Damage("has a persistent id that names no storage")
    _, kind, key, _, count, *view = pid
    if not isinstance(kind, np.dtype) or not isinstance(key, str):
        raise Damage("has a storage of a type that is not known here")
    if not is_count(count) or any(part is not None for part in view):
        raise Damage("has a storage that is a part of another one")
    return Storage(kind, key, count)


def _put(found, key, value):
    if not isinstance(key, str | int):
        raise Damage("has a dictionary whose keys are no names")
    found[key] = value


def run(stream):
    """What a pickle makes, which begins where a stream is, or with some bytes."""
    stack, marks, memo = [], [], {}
    for operation, value, _ in pickletools.genops(stream):
        name = operation.name
        if name != "STOP" and name not in _OPERATIONS:
            raise Damage(f"has {name} in its pickle, which makes no tensor")
        try:
            if name == "STOP":
                return stack.pop()
            _OPERATIONS[name](stack, marks, memo, value)
        except (IndexError, TypeError, AttributeError, KeyError) as error:
            raise Damage("has a pickle that is not whole") from error
    raise Damage("has a pickle that does not end")


def _push(stack, marks, memo, value):
    stack.append(value)


def _constant(value):
    return lambda stack, marks, memo, _: stack.append(value)


def _memoise(stack, marks, memo, value):
    memo[len(memo) if value is None else value] = stack[-1]


def _recall(stack, marks, memo, value):
    stack.append(memo[value])


def _mark(stack, marks, memo, value):
    marks.append(len(stack))


def _since(stack, marks):
    """Takes away what lies above the last mark."""
    place = marks.pop()
    found = stack[place:]
    del stack[place:]
    return found


def _last(count):
    def tuple_of(stack, marks, memo, _):
        if len(stack) < count:
            raise IndexError
        found = tuple(stack[len(stack) - count :])
        del stack[len(stack) - count :]
        stack.append(found)

    return tuple_of


def _global(stack, marks, memo, value):
    stack.append(_named(*value.split(" ", 1)))


def _stack_global(stack, marks, memo, _):
    name, module = stack.pop(), stack.pop()
    stack.append(_named(module, name))


def _reduce(stack, marks, memo, _):
    arguments, name = stack.pop(), stack.pop()
    stack.append(_called(name, arguments))


def _build(stack, marks, memo, _):
    """Attributes are left aside, such as the `_metadata` of a state_dict."""
    stack.pop()
    if not isinstance(stack[-1], dict):
        raise Damage("sets attributes of what is no dictionary")


def _set_items(stack, marks, memo, _):
    pairs = _since(stack, marks)
    if len(pairs) % 2 or type(stack[-1]) is not dict:
        raise Damage("has a pickle that is not whole")
    for key, value in zip(pairs[::2], pairs[1::2]):
        _put(stack[-1], key, value)


def _set_item(stack, marks, memo, _):
    value, key = stack.pop(), stack.pop()
    if type(stack[-1]) is not dict:
        raise Damage("has a pickle that is not whole")
    _put(stack[-1], key, value)


def _extend(stack, marks, memo, _):
    more = _since(stack, marks)
    if type(stack[-1]) is not list:
        raise Damage("has a pickle that is not whole")
    stack[-1].extend(more)


def _append(stack, marks, memo, _):
    value = stack.pop()
    if type(stack[-1]) is not list:
        raise Damage("has a pickle that is not whole")
    stack[-1].append(value)


def _nothing(stack, marks, memo, value):
    pass


_OPERATIONS = {
    **dict.fromkeys(("PROTO", "FRAME"), _nothing),
    **dict.fromkeys(
        [
            "BINUNICODE",
            "SHORT_BINUNICODE",
            "BINSTRING",
            "SHORT_BINSTRING",
            "BININT",
            "BININT1",
            "BININT2",
            "LONG1",
            "BINFLOAT",
        ],
        _push,
    ),
    **dict.fromkeys(("BINPUT", "LONG_BINPUT", "MEMOIZE"), _memoise),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), _recall),
    "NONE": _constant(None),
    "NEWTRUE": _constant(True),
    "NEWFALSE": _constant(False),
    "EMPTY_TUPLE": _constant(()),
    "EMPTY_DICT": lambda stack, marks, memo, _: stack.append({}),
    "EMPTY_LIST": lambda stack, marks, memo, _: stack.append([]),
    "MARK": _mark,
    "TUPLE": lambda stack, marks, memo, _: stack.append(tuple(_since(stack, marks))),
    "TUPLE1": _last(1),
    "TUPLE2": _last(2),
    "TUPLE3": _last(3),
    "GLOBAL": _global,
    "STACK_GLOBAL": _stack_global,
    "BINPERSID": lambda stack, marks, memo, _: stack.append(_stored(stack.pop())),
    "REDUCE": _reduce,
    "BUILD": _build,
    "SETITEM": _set_item,
    "SETITEMS": _set_items,
    "APPEND": _append,
    "APPENDS": _extend,
}


def is_count(value):
    """Whether a value is a number of numbers, and no absurd one."""
    return type(value) is int and 0 <= value < 2**48
