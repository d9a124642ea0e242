"""PyTorch's files: read as arrays, and nothing else is done for them."""

import collections
import io
import pickle
import struct
import sys
import zipfile

import jax.numpy as jnp
import numpy as np
import pytest

from ltjax.mistake import Mistake
from ltjax.models import pickled

RNG = np.random.default_rng(0)
KINDS = {"float32": "Float", "int64": "Long", "bfloat16": "BFloat16", "bool": "Bool"}
STATE = {
    "conv.weight": RNG.normal(size=(3, 2, 1, 1)).astype(np.float32),
    "bn.num_batches_tracked": np.array(7),
    "half": RNG.normal(size=4).astype(jnp.bfloat16),
    "mask": np.array([True, False]),
    "none": np.zeros((0, 3), np.float32),
}
ZIP, STREAM = "zip", "stream"


# What torch.save writes, byte by byte.


def known(module, attribute):
    return f"c{module}\n{attribute}\n".encode()


def text(value):
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def integer(value):
    return b"J" + struct.pack("<i", value)


def integers(values):
    return b"(" + b"".join(map(integer, values)) + b"t"


def tensor(array, key, *, steps=None, offset=0, shape=None, count=None, stream=False):
    """A tensor that lies in the storage `key`; how else than it does, if asked."""
    storage = [
        text("storage"),
        known("torch", f"{KINDS[array.dtype.name]}Storage"),
        text(str(key)),
        text("cpu"),
        integer(array.size if count is None else count),
        *([b"N"] if stream else []),
    ]
    if steps is None:
        steps = [step // array.itemsize for step in array.strides]
    return b"".join(
        [
            known("torch._utils", "_rebuild_tensor_v2"),
            b"((" + b"".join(storage) + b"tQ" + integer(offset),
            integers(array.shape if shape is None else shape),
            integers(steps),
            b"\x89" + known("collections", "OrderedDict") + b")RtR",
        ]
    )


def dictionary(parts):
    pairs = b"".join(text(key) + value for key, value in parts.items())
    return known("collections", "OrderedDict") + b")R(" + pairs + b"u"


def whole(content):
    return b"\x80\x02" + content + b"."


def written(content, arrays, kind):
    """The bytes of a file whose pickle is `content`, with the storages of arrays."""
    if kind == ZIP:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("archive/data.pkl", whole(content))
            archive.writestr("archive/byteorder", "little")
            for key, array in enumerate(arrays):
                archive.writestr(f"archive/data/{key}", array.tobytes())
        return file.getvalue()
    about = {"protocol_version": 1001, "little_endian": True}
    heads = (0x1950A86A20F9469CFC6C, 1001, about)
    keys = [str(key) for key in range(len(arrays))]
    return b"".join(
        [
            *(pickle.dumps(head, 2) for head in heads),
            whole(content),
            pickle.dumps(keys, 2),
            *(struct.pack("<q", a.size) + a.tobytes() for a in arrays),
        ]
    )


def file_of(kind, wrap=lambda content: content):
    parts = {
        name: tensor(array, key, stream=kind == STREAM)
        for key, (name, array) in enumerate(STATE.items())
    }
    return written(wrap(dictionary(parts)), STATE.values(), kind)


def read(content, place):
    path = place / "a.pth"
    path.write_bytes(content)
    return pickled.read(path)


def message_of(content, place):
    with pytest.raises(Mistake) as caught:
        read(content, place)
    told = str(caught.value)
    assert told.startswith(str(place))
    assert "\n" not in told
    return told.removeprefix(f"{place / 'a.pth'} ")


def same(found, wanted):
    assert list(found) == list(wanted)
    for key, array in wanted.items():
        assert found[key].dtype == array.dtype
        np.testing.assert_array_equal(found[key], array)


@pytest.mark.parametrize("kind", [ZIP, STREAM])
def test_both_forms_are_read(kind, tmp_path):
    same(read(file_of(kind), tmp_path), STATE)
    # A training's checkpoint, among other things.
    wrapped = file_of(
        kind, lambda inner: dictionary({"epoch": integer(3), "model": inner})
    )
    same(read(wrapped, tmp_path), STATE)


def test_tensors_may_share_a_storage_and_be_turned(tmp_path):
    array = np.arange(6, dtype=np.float32)
    parts = {
        "turned": tensor(array, 0, shape=(3, 2), steps=(1, 3)),
        "end": tensor(array, 0, shape=(2,), steps=(1,), offset=4),
    }
    found = read(written(dictionary(parts), [array], ZIP), tmp_path)
    np.testing.assert_array_equal(found["turned"], array.reshape(2, 3).T)
    np.testing.assert_array_equal(found["end"], [4, 5])


@pytest.mark.parametrize("kind", [ZIP, STREAM])
@pytest.mark.parametrize(
    ("module", "attribute", "arguments"),
    [
        ("os", "system", text("touch hacked")),
        ("builtins", "eval", text("1 + 1")),
        ("builtins", "getattr", text("a") + text("b")),
        ("torch", "load", text("b.pth")),
        ("argparse", "Namespace", b""),
    ],
)
def test_other_names_are_refused(kind, module, attribute, arguments, tmp_path):
    call = known(module, attribute) + b"(" + arguments + b"tR"
    told = message_of(
        file_of(kind, lambda inner: dictionary({"model": inner, "more": call})),
        tmp_path,
    )
    assert told.startswith(f"asks for {module}.{attribute}, which is no tensor")
    assert [file.name for file in tmp_path.iterdir()] == ["a.pth"]


def test_a_pickle_of_python_runs_nothing(tmp_path):
    class Bomb:
        def __reduce__(self):
            return exec, ("import sys; sys.bombed = True",)

    for protocol in range(6):
        content = pickle.dumps({"a": Bomb()}, protocol)
        message_of(content, tmp_path)
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("archive/data.pkl", content)
        message_of(file.getvalue(), tmp_path)
    assert not hasattr(sys, "bombed")


ONE = np.arange(6, dtype=np.float32)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"offset": 1}, "lies outside its storage"),
        ({"shape": (7,)}, "lies outside its storage"),
        # A billion numbers that are all the same one.
        ({"shape": (2**15, 2**15), "steps": (0, 0)}, "lies outside its storage"),
        ({"steps": (-1,)}, "of another form than PyTorch's"),
        ({"count": 7}, "has 6 numbers in the storage 0, and says 7"),
        ({"count": -1}, "a storage that is a part of another one"),
    ],
)
def test_tensors_beyond_their_numbers_are_refused(how, words, tmp_path):
    content = dictionary({"a": tensor(ONE, 0, **how)})
    assert words in message_of(written(content, [ONE], ZIP), tmp_path)


def test_what_is_no_file_of_weights_is_told(tmp_path):
    compressed = io.BytesIO()
    with zipfile.ZipFile(compressed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", whole(dictionary({"a": tensor(ONE, 0)})))
    program = io.BytesIO()
    with zipfile.ZipFile(program, "w") as archive:
        archive.writestr("net/data.pkl", whole(dictionary({})))
        archive.writestr("net/code/__torch__.py", "")
    other = io.BytesIO()
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("a.txt", "hello")
    two = dictionary({key: dictionary({"x": tensor(ONE, 0)}) for key in ("a", "b")})
    cases = {
        b"": "is not a whole file of PyTorch",
        b"<!DOCTYPE html>": "is neither a zip file nor a stream of PyTorch's",
        compressed.getvalue(): "has archive/data.pkl compressed",
        program.getvalue(): "is a program of TorchScript",
        other.getvalue(): "is a zip file without one data.pkl",
        written(dictionary({"epoch": integer(1)}), [], ZIP): "holds no tensors",
        written(integer(1), [], ZIP): "holds no dictionary of tensors",
        written(two, [ONE], ZIP): "holds 2 sets of tensors, a, b; wanted one",
    }
    for content, words in cases.items():
        assert words in message_of(content, tmp_path)


@pytest.mark.parametrize("kind", [ZIP, STREAM])
def test_half_a_download_is_told(kind, tmp_path):
    content = file_of(kind)
    for length in range(0, len(content) - 1, 7):
        message_of(content[:length], tmp_path)


@pytest.mark.parametrize("kind", [ZIP, STREAM])
def test_no_change_of_a_file_does_more_than_a_mistake(kind, tmp_path):
    """Bytes that are changed, left out, or doubled: an answer or a `Mistake`."""
    content, rng = file_of(kind), np.random.default_rng(1)
    modules, answers = set(sys.modules), collections.Counter()
    for _ in range(1500):
        changed = bytearray(content)
        for _ in range(rng.integers(1, 4)):
            at = rng.integers(len(changed))
            match rng.integers(4):
                case 0:
                    changed[at] = rng.integers(256)
                case 1:
                    del changed[at : at + rng.integers(1, 9)]
                case 2:
                    changed[at:at] = changed[at : at + rng.integers(1, 9)]
                case 3:  # an operation of pickles
                    changed[at] = rng.choice(list(b"cR\x81ibo}]uQ.(0N\x93\x95"))
        try:
            found = read(bytes(changed), tmp_path)
        except Mistake as mistake:
            answers["refused" if "\n" not in str(mistake) else "on several lines"] += 1
        else:
            assert all(isinstance(array, np.ndarray) for array in found.values())
            assert sum(array.size for array in found.values()) < 10_000
            answers["read"] += 1
    # Python's own codecs are loaded when a text is read.
    more = {name for name in sys.modules if not name.startswith("encodings.")}
    assert more <= modules
    assert answers["refused"] > 500
    assert answers["read"] > 0
    assert answers["on several lines"] == 0
    assert [file.name for file in tmp_path.iterdir()] == ["a.pth"]


@pytest.mark.parametrize("protocol", range(2, 6))
@pytest.mark.parametrize("zipped", [True, False])
def test_files_that_pytorch_writes(zipped, protocol, tmp_path):
    torch = pytest.importorskip("torch")
    state = torch.nn.Sequential(
        torch.nn.Conv2d(2, 3, 1), torch.nn.BatchNorm2d(3)
    ).state_dict()
    state["turned"] = torch.randn(3, 4).T
    state["parameter"] = torch.nn.Parameter(torch.randn(2))
    state["half"], state["brain"] = torch.randn(4).half(), torch.randn(4).bfloat16()
    how = {"_use_new_zipfile_serialization": zipped, "pickle_protocol": protocol}
    torch.save({"state_dict": state, "epoch": 3, "lr": 0.1}, tmp_path / "a.pth", **how)
    found = pickled.read(tmp_path / "a.pth")
    assert list(found) == list(state)
    for key, wanted in state.items():
        wanted = wanted.detach()
        assert found[key].dtype.name == str(wanted.dtype).removeprefix("torch.")
        np.testing.assert_array_equal(found[key].astype(float), wanted.double().numpy())
    torch.save(torch.nn.Linear(2, 2), tmp_path / "b.pth")
    words = r"b\.pth asks for torch\.nn\.modules\.linear\.Linear"
    with pytest.raises(Mistake, match=words):
        pickled.read(tmp_path / "b.pth")
