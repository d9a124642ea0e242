"""Weights under the names of PyTorch's releases, from files and to them.

Read are `.safetensors`, `.npz` and PyTorch's own `.pth`, written the first two.

A file maps names to arrays, as a PyTorch state dict does: `conv1.weight`,
`bn1.running_mean`, `layer1.0.conv1.weight`, `layer1.0.downsample.0.weight`,
`fc.weight`. A CIFAR ResNet has the same names: its stem is `conv1` and `bn1`, the first
block of its second stage `layer2.0`, and its shortcuts have no weights; `names` has
those of gates and activations. A vision transformer has timm's, see `vit_weights`.
Convolutions are [out, in / groups, H, W] there and [H, W, in / groups, out] here,
linear layers [out, in] there and [in, out] here; the running variance of a batch norm
is the same array in both.
"""

import os
import zipfile
import zlib
from pathlib import Path

import jax
import numpy as np

from ltjax.mistake import Mistake, nearest
from ltjax.models import (
    layouts,
    metaformer_weights,
    names,
    pickled,
    vit_layouts,
    vit_weights,
)

# What nothing here needs: PyTorch's counter, and indices that follow from shapes.
_ASIDE = ("num_batches_tracked", metaformer_weights.INDEX)
METADATA = "metadata"  # the array of an `.npz` that is text about the others


def to_tensors(variables):
    """The tensors {name: float32 array} of a network.

    `variables` are those of a `Network` ("params" and "batch_stats", each with
    "features", and "head" if there is one).
    """
    layout = _layout(variables)
    if layout is vit_weights:
        variables = vit_weights.parted(variables, lambda leaf, i: leaf[i])
    return {
        layout.of(path)[0]: _to_torch(np.asarray(leaf, np.float32))
        for path, leaf in jax.tree.leaves_with_path(variables)
    }


def to_variables(tensors, like, source="tensors"):
    """The inverse of `to_tensors`, for the variables of which `like` has the shapes.

    If `like` has no head, the tensors of one, `fc.*`, are left aside; it may be called
    `linear.*`. Raises `Mistake`,
    which names `source`, for the first tensor that is missing, of another shape, not
    of real numbers or not finite, or is one too many.
    """
    layout = _layout(like)
    if layout is not vit_weights:
        return _read_as(layout, tensors, like, source)
    tensors = vit_weights.fitted(vit_layouts.usual(tensors), like)
    parted = vit_weights.parted(like, lambda leaf, i: _without_first(leaf))
    found = _read_as(vit_weights, tensors, parted, source)
    return vit_weights.joined(found, like)


def _layout(variables):
    """The module that has the names of a network."""
    known = (vit_weights, metaformer_weights)
    return next((layout for layout in known if layout.fits(variables)), names)


def _read_as(layout, tensors, like, source):
    """The variables of tensors that a `layout` has the names of."""

    def among(path):
        """The name of a leaf that there is a tensor of; the usual one if none is."""
        known = layout.of(path)
        return next((name for name in known if name in tensors), known[0])

    wanted = {among(path): leaf for path, leaf in jax.tree.leaves_with_path(like)}
    aside = {METADATA} | (set() if layout.OF_HEADS & wanted.keys() else layout.OF_HEADS)
    shapes = {name: _torch_shape(leaf.shape) for name, leaf in wanted.items()}
    fitting = layouts.fitting({n: array.shape for n, array in tensors.items()}, shapes)
    missing = [name for name in wanted if name not in tensors]
    if missing:
        more = f" nor {len(missing) - 1} others" if len(missing) > 1 else ""
        raise Mistake(
            f"{source} has no tensor {missing[0]!r}{more}, which the model needs"
            f"{fitting}"
        )
    for name, shape in shapes.items():
        found = tensors[name]
        if found.shape != shape:
            raise Mistake(
                f"{source}: {name!r} has shape {_told(found.shape)}, "
                f"wanted {_told(shape)}{fitting}"
            )
        # bfloat16 and its kin are of no kind that NumPy knows.
        if found.dtype.kind != "f" and "float" not in found.dtype.name:
            raise Mistake(f"{source}: {name!r} is {found.dtype}, wanted real numbers")
        if not np.isfinite(found).all():
            raise Mistake(f"{source}: {name!r} is not finite everywhere")
    for name in tensors:
        if not (name in wanted or name in aside or name.endswith(_ASIDE)):
            raise Mistake(f"{source} has a tensor {name!r} that the model has not")

    def variable(path, leaf):
        return _from_torch(np.asarray(tensors[among(path)], leaf.dtype))

    return jax.tree.map_with_path(variable, like)


def read(path):
    """The tensors {name: array} of a `.safetensors`, `.npz` or `.pth` file."""
    path = Path(path)
    check_kind(path, pickled.SUFFIXES)
    if not os.path.isfile(path):
        raise Mistake(f"{path} is not a file{_neighbour(path)}")
    if path.suffix in pickled.SUFFIXES:
        return pickled.read(path)
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    damage = (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error)
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except MemoryError as error:
        raise Mistake(f"{path} holds an array larger than the memory") from error
    except (*damage, TypeError) as error:  # a lone array is no archive
        raise Mistake(
            f"{path} is not an .npz file of plain arrays: {_first_line(error)}"
        ) from error


def write(path, tensors, metadata=None):
    """Writes the tensors {name: array} to a new `.safetensors` or `.npz` file.

    `metadata` is text about them: in the header of a `.safetensors` file under "ltjax",
    in an `.npz` the array "metadata". The file is there whole or not at all. Raises
    `Mistake` if it exists.
    """
    path = Path(path)
    check_kind(path)
    if path.exists():
        raise Mistake(f"{path} exists; give another name")
    tensors = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    part = path.with_name(path.name + ".part")
    if path.suffix == ".safetensors":
        header = None if metadata is None else {"ltjax": metadata}
        # Its own `save_file` leaves a file that only its owner can read.
        part.write_bytes(_safetensors().save(tensors, header))
    else:
        if metadata is not None:
            tensors[METADATA] = np.array(metadata)
        with open(part, "wb") as file:
            np.savez(file, **tensors)
    os.replace(part, path)


def check_kind(path, others=()):
    """Raises `Mistake` for a file of a kind that cannot be read or written here.

    `others` are suffixes that can be, too.
    """
    path = Path(path)
    if path.suffix not in (".safetensors", ".npz", *others):
        also = ", nor one of PyTorch's: .pth, .pt, .bin" if others else ""
        raise Mistake(f"{path} is not a .safetensors or .npz file{also}")
    if path.suffix == ".safetensors":
        _safetensors()


def _safetensors():
    try:
        import safetensors.numpy
    except ImportError as error:
        raise Mistake(
            "a .safetensors file needs the package safetensors: "
            "pip install 'ltjax[export]'"
        ) from error
    return safetensors.numpy


def _read_safetensors(path):
    package = _safetensors()
    try:
        return package.load_file(path)
    except Exception as error:  # the errors of its Rust core share no base class
        raise Mistake(
            f"{path} is not a whole .safetensors file: {_first_line(error)}"
        ) from error


def _first_line(error):
    return str(error).partition("\n")[0]


def _without_first(leaf):
    return jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype)


def _to_torch(array):
    return array.transpose(_axes(array.ndim))


def _from_torch(array):
    return array.transpose(np.argsort(_axes(array.ndim)))


def _torch_shape(shape):
    return tuple(shape[axis] for axis in _axes(len(shape)))


def _axes(rank):
    """Where PyTorch's axes are here: of a convolution, tokens, a matrix, a vector."""
    return {4: (3, 2, 0, 1), 3: (0, 1, 2), 2: (1, 0), 1: (0,)}[rank]


def _told(shape):
    return "[" + ", ".join(map(str, shape)) + "]"


def _neighbour(path):
    if not os.path.isdir(path.parent):
        return f", nor is {path.parent} a folder"
    names = [other.name for other in path.parent.iterdir()]
    return nearest(path.name, names)
