"""Save and restore trees of arrays: the only user of orbax.

A checkpoint is a folder that orbax writes elsewhere and renames, and in it a record
with the checksum of every file, written last: without the record it is unfinished.
"""

import contextlib
import logging
import os
import re
import shutil
import sys
from functools import partial

import jax
import numpy as np
from orbax.checkpoint import v1 as ocp

from ltjax.mistake import Mistake
from ltjax.posterior import trees
from ltjax.runtime import hosts, shortage
from ltjax.workdir import seal as checks
from ltjax.workdir import shapes
from ltjax.workdir.files import write_json

FORMAT = 1  # of what a checkpoint holds and how; another number is refused

# Threads of orbax print the exceptions that it raises here as well.
logging.getLogger("absl").addFilter(
    lambda record: "_SignalingThread" not in record.getMessage()
)

_RECORD = "record.json"
_DAMAGED = ".damaged"
_AT_ONCE = 2**28  # bytes that are read back together, unless one array has more


def save(path, tree, note=None, made=None):
    """Writes `tree` to the new folder `path`, with a JSON `note` beside it.

    It is read back and compared with the tree before this returns. `made` is what the
    record tells, besides checksums: of what run and versions it is. Raises `Mistake`,
    with nothing left of it, where it cannot be written or comes back otherwise.
    """
    path = path.absolute()
    hosts.by_first(lambda: _forget(path))
    with _written(path):
        ocp.save(path, jax.tree.map(_on_its_device, tree), custom_metadata=note)
    hosts.together(lambda: _compare(path, tree))
    hosts.by_first(lambda: seal(path, made))
    hosts.by_first(lambda: shutil.rmtree(_aside(path), ignore_errors=True))


def save_step(folder, at, tree, keep, note=None, made=None):
    """Saves a training at (epochs,) or, within an epoch, (epochs, steps).

    Then deletes all but the `keep` newest ones.
    """
    save(place(folder, at), tree, note, made)
    hosts.by_first(lambda: _forget_all_but(steps(folder)[:keep], folder))


def place(folder, at):
    """The folder of (epochs,) or (epochs, steps)."""
    return folder / "-".join(map(str, at))


def steps(folder):
    """The folders that `save_step` wrote, newest first; some may be damaged."""
    found = {_position(path): path for path in folder.glob("*") if path.is_dir()}
    found.pop(None, None)
    return [found[at] for at in sorted(found, reverse=True)]


def position(path):
    """(epochs, steps) of a folder of `steps`; at an epoch's end no step of the next."""
    return (*_position(path), 0)[:2]


def damage(path):
    """What is wrong with the files of a checkpoint, in words, or None."""

    def checksums(record):
        for name, digest in record["files"].items():
            yield name, path / name, digest

    return checks.damage(path / _RECORD, FORMAT, checksums)


def set_aside(path):
    """Renames a checkpoint, until the next one is saved in its place or after it."""
    shutil.rmtree(_aside(path), ignore_errors=True)
    path.rename(_aside(path))


def seal(path, made=None):
    """Writes the record of a checkpoint as its files are."""
    with _written(path):
        files = sorted(file for file in path.rglob("*") if file.is_file())
        record = {
            "format": FORMAT,
            **(made or {}),
            "files": {
                file.relative_to(path).as_posix(): checks.checksum(file, sync=True)
                for file in files
                if file.name != _RECORD
            },
        }
        write_json(path / _RECORD, record)


def load(path, like):
    """The tree saved at `path`, placed like `like`, which has its shapes and types.

    Raises `Mistake` where it has others. Files are not checked: see `damage`.
    """
    shapes.refuse_difference(path, ocp.metadata(path.absolute()).metadata, like)
    return ocp.load(path.absolute(), _abstract(like))


def load_as_saved(path, names=None):
    """The tree saved at `path`, with the shapes and types it has, in NumPy arrays.

    Of a dict only the entries `names`, if they are given.
    """
    like = jax.tree.map(_empty, ocp.metadata(path.absolute()).metadata)
    if names is None:
        return ocp.load(path.absolute(), like)
    for name in like.keys() - set(names):
        like[name] = jax.tree.map(lambda leaf: ocp.PLACEHOLDER, like[name])
    found = ocp.load(path.absolute(), like)
    return {name: found[name] for name in names}


def names(path):
    """The names of the entries of the dict saved at `path`."""
    return set(ocp.metadata(path.absolute()).metadata)


def note(path):
    """The JSON note saved with the tree at `path`."""
    return ocp.metadata(path.absolute()).custom_metadata


def _position(path):
    parts = path.name.split("-")
    return tuple(map(int, parts)) if all(map(str.isdecimal, parts)) else None


def _aside(path):
    return path.with_name(path.name + _DAMAGED)


def _forget(path):
    """Deletes what a process that was killed left where `path` is to be written."""
    for other in path.parent.glob(f"{path.name}.orbax-checkpoint-tmp*"):
        shutil.rmtree(other)
    if path.exists():
        shutil.rmtree(path)


def _forget_all_but(kept, folder):
    for path in folder.iterdir():
        if path.is_dir() and path not in kept:
            shutil.rmtree(path)


@contextlib.contextmanager
def _written(path):
    """Tells of a full disk and the like in one line; nothing of `path` is left."""
    hook = sys.unraisablehook
    sys.unraisablehook = partial(_but_of_late_writes, hook)
    try:
        yield
    except (OSError, ValueError, RuntimeError) as error:
        with contextlib.suppress(OSError):
            _forget(path)
        why = shortage.told(error) or f"{path} cannot be written: {_reason(error)}"
        raise Mistake(
            f"{why}; what was saved before is kept, the same command goes on from there"
        ) from error
    except BaseException:
        sys.unraisablehook = hook
        raise
    sys.unraisablehook = hook


def _but_of_late_writes(hook, unraisable):
    """Prints an exception that cannot be raised, by `hook`.

    When one of orbax's writes fails, each of the others that are under way ends in an
    event loop that is closed, and has a traceback printed, later too.
    """
    if str(unraisable.exc_value) != "Event loop is closed":
        hook(unraisable)


def _reason(error):
    """In few words; orbax has the operating system's number in a long line."""
    number = re.search(r"os_error_code='(\d+)'", str(error))
    if number:
        return os.strerror(int(number[1]))
    return (
        getattr(error, "strerror", None)
        or f"{type(error).__name__} {error}".splitlines()[0]
    )


def _on_its_device(leaf):
    """An array on one device alone as one of that device, not of a mesh: no copy.

    Before jax 0.10 `device` of a mesh of one is a sharding: orbax takes it for a device
    where the array came off a mesh of one before (`devices.local`).
    """
    if not isinstance(leaf, jax.Array) or len(leaf.sharding.device_set) > 1:
        return leaf
    return jax.device_put(leaf, *leaf.sharding.device_set)


def _compare(path, tree):
    """Reads back what was written, into the host's memory, bit for bit."""
    leaves, structure = jax.tree.flatten(tree)
    first = 0
    while first < len(leaves):
        last, size = first + 1, leaves[first].nbytes
        while last < len(leaves) and size + leaves[last].nbytes <= _AT_ONCE:
            size += leaves[last].nbytes
            last += 1
        like = [ocp.PLACEHOLDER] * len(leaves)
        like[first:last] = map(_empty, leaves[first:last])
        with _written(path):
            found = ocp.load(path, structure.unflatten(like))
        found = structure.flatten_up_to(found)[first:last]
        for leaf, back in zip(leaves[first:last], found, strict=True):
            for index, part in _parts(leaf):
                if not trees.same_bits(part, back[index]):
                    raise Mistake(f"{path} is not what was written; is the disk sound?")
        first = last


def _empty(leaf):
    return np.empty(leaf.shape, leaf.dtype)


def _parts(leaf):
    """The different parts of an array that this process has."""
    if not isinstance(leaf, jax.Array):
        return [(..., leaf)]
    parts = {str(part.index): part for part in leaf.addressable_shards}
    return [(part.index, part.data) for part in parts.values()]


def _abstract(like):
    """Shapes, types, shardings: without shardings orbax would restore the saved ones.

    A leaf that has none yet goes to the default device, a NumPy array stays one.
    """
    default = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])

    def abstract(leaf):
        if isinstance(leaf, np.ndarray):
            return leaf
        sharding = getattr(leaf, "sharding", None) or default
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)

    return jax.tree.map(abstract, like)
