"""PyTorch's own files, read as arrays and nothing else: no PyTorch, no code of theirs.

Such a file is a pickle (`models.pickles`) beside raw numbers. Two forms are read: the
zip files of today, `data.pkl` and one entry for each storage, and the stream before
them, pickles that are followed by the storages.
"""

import mmap
import zipfile

import numpy as np

from ltjax.mistake import Mistake, shown
from ltjax.models import pickles
from ltjax.models.pickles import Damage, Tensor

SUFFIXES = (".pth", ".pt", ".bin", ".tar")

_MAGIC = 0x1950A86A20F9469CFC6C  # that the stream begins with
_PROTOCOL = 1001  # of the stream, the only one that there was
_USUAL = ("state_dict", "model")  # what a training calls its network
_NAMED = 3  # keys that a message names


def read(path):
    """The tensors {name: array} of a file of PyTorch's; arrays are views of the file.

    Of a dictionary that holds them among other things, such as {"model": ...}, that
    part. Raises `Mistake` for what is damaged, asks for anything but tensors by name,
    or holds none.
    """
    try:
        with open(path, "rb") as file:
            bytes_ = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        read_ = _read_zip if bytes_[:2] == b"PK" else _read_stream
        return _state(read_(path, bytes_))
    except Damage as error:
        raise Mistake(f"{path} {error}") from error
    # What the libraries of Python find wrong. An empty file cannot be mapped.
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        line = str(error).partition("\n")[0]
        raise Mistake(
            f"{path} is not a whole file of PyTorch: {shown(line)}"
        ) from error
    except (OverflowError, MemoryError, RuntimeError) as error:
        raise Mistake(f"{path} is not a whole file of PyTorch") from error


def _read_zip(path, bytes_):
    """The object of a zip file, tensors as arrays."""
    with zipfile.ZipFile(path) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        roots = [name for name in entries if name.endswith("/data.pkl")]
        if len(roots) != 1:
            raise Damage("is a zip file without one data.pkl, so not one of PyTorch's")
        root = roots[0].removesuffix("data.pkl")
        if any(name.startswith(f"{root}code/") for name in entries):
            raise Damage(
                "is a program of TorchScript, not weights alone; in PyTorch, "
                "torch.save(torch.jit.load(FILE).state_dict(), OTHER) writes these"
            )

        def entry(name):
            found = entries.get(root + name)
            if found is None:
                raise Damage(f"has no {root + name}: it is not whole")
            # What PyTorch writes is as large as it is, and so cannot fill the memory.
            if found.compress_type != zipfile.ZIP_STORED:
                raise Damage(f"has {root + name} compressed, as PyTorch has none")
            return archive.read(found)

        if root + "byteorder" in entries and entry("byteorder") != b"little":
            raise Damage("is of a machine with big-endian numbers; wanted little")
        storages = {}

        def numbers(storage):
            if storage.key not in storages:
                storages[storage.key] = entry(f"data/{storage.key}")
            return _array(storages[storage.key], 0, storage)

        return _filled(pickles.run(entry("data.pkl")), numbers)


def _read_stream(path, bytes_):
    """The object of a stream of pickles and storages, tensors as arrays."""
    try:
        magic = pickles.run(bytes_)
    except (Damage, ValueError):
        magic = None
    if magic != _MAGIC:
        raise Damage(
            "is neither a zip file nor a stream of PyTorch's torch.save; a download "
            "that stopped, or a page of a web site, is none"
        )
    if pickles.run(bytes_) != _PROTOCOL:
        raise Damage("is a stream of a protocol that PyTorch never had")
    about = pickles.run(bytes_)
    if isinstance(about, dict) and about.get("little_endian") is False:
        raise Damage("is of a machine with big-endian numbers; wanted little")
    found, keys = pickles.run(bytes_), pickles.run(bytes_)
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise Damage("does not list its storages after its pickles")
    kinds, places = _storages(found), {}
    for key in keys:
        if key not in kinds:
            raise Damage(f"lists a storage {shown(key)} that no tensor has")
        head = bytes_.read(8)
        count = int.from_bytes(head, "little")
        if len(head) < 8 or count != kinds[key].count:
            raise Damage(f"is not whole: it ends in or before the storage {shown(key)}")
        places[key] = bytes_.tell()
        size = count * kinds[key].kind.itemsize
        if places[key] + size > len(bytes_):
            raise Damage(f"is not whole: it ends in or before the storage {shown(key)}")
        bytes_.seek(size, 1)

    def numbers(storage):
        if storage.key not in places:
            raise Damage(f"has no storage {shown(storage.key)}: it is not whole")
        return _array(bytes_, places[storage.key], storage)

    return _filled(found, numbers)


def _array(bytes_, place, storage):
    """The numbers of a storage that begins at a place of some bytes."""
    room = (len(bytes_) - place) // storage.kind.itemsize
    if not 0 <= storage.count <= room:
        raise Damage(
            f"has {room} numbers in the storage {shown(storage.key)}, and says "
            f"{storage.count}: it is not whole"
        )
    return np.frombuffer(bytes_, storage.kind, storage.count, place)


def _window(tensor, numbers):
    """The array of a tensor, a view of all numbers of its storage."""
    shape, strides = tensor.shape, tensor.strides
    right = len(shape) == len(strides) and all(
        pickles.is_count(n) for n in (*shape, *strides, tensor.offset)
    )
    if not right:
        raise Damage("has a tensor of another form than PyTorch's")
    size = int(np.prod(shape, dtype=object))
    last = tensor.offset + sum(
        (length - 1) * step for length, step in zip(shape, strides)
    )
    # No more numbers than there are: one that is spread over many is none of a file's.
    if size and (last >= len(numbers) or size > len(numbers)):
        raise Damage("has a tensor that lies outside its storage")
    if not size:
        return np.zeros(shape, numbers.dtype)
    item = numbers.itemsize
    return np.lib.stride_tricks.as_strided(
        numbers[tensor.offset :],
        shape,
        [step * item for step in strides],
        writeable=False,
    )


def _storages(found):
    """The storages of all tensors in an object, by their keys."""
    return {
        value.storage.key: value.storage
        for inner in _dictionaries(found)
        for value in inner.values()
        if isinstance(value, Tensor)
    }


def _filled(found, numbers):
    """An object with arrays for its tensors, wherever they lie in dictionaries."""
    if isinstance(found, Tensor):
        return _window(found, numbers(found.storage))
    for inner in _dictionaries(found):
        for key, value in inner.items():
            if isinstance(value, Tensor):
                inner[key] = _window(value, numbers(value.storage))
    return found


def _dictionaries(found):
    """Every dictionary in an object once, itself the first if it is one."""
    waiting, seen = [found], set()
    while waiting:
        each = waiting.pop()
        if type(each) is dict and id(each) not in seen:
            seen.add(id(each))
            yield each
            waiting += each.values()


def _state(found):
    """The dictionary of arrays that is in an object, or is the object itself."""
    if not isinstance(found, dict):
        raise Damage("holds no dictionary of tensors, a state_dict")
    sets = {}
    for name, inner in [("", found), *_named(found)]:
        arrays = {str(n): a for n, a in inner.items() if isinstance(a, np.ndarray)}
        if arrays:
            sets.setdefault(name, arrays)
        if arrays and not name:
            break
    for name in ("", *_USUAL, *(sets if len(sets) == 1 else ())):
        if name in sets:
            return sets[name]
    if not sets:
        raise Damage("holds no tensors")
    names = ", ".join(shown(name) for name in sorted(sets)[:_NAMED])
    raise Damage(f"holds {len(sets)} sets of tensors, {names}; wanted one")


def _named(found):
    """Pairs (name, dictionary) of those in a dictionary, and of those in these."""
    for name, inner in found.items():
        if isinstance(inner, dict):
            yield str(name), inner
            for other, within in inner.items():
                if isinstance(within, dict):
                    yield f"{name}.{other}", within
