"""What a mistaken command meets: functions that build functions that make it."""

import json
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from ltjax import main
from ltjax.config import Config, Experts
from ltjax.config.record import to_json as json_of
from ltjax.stages.loading import load
from ltjax.workdir import claim, identity


def text(path, content):
    return lambda: Path(path).write_text(content)


def data(path, content):
    return lambda: Path(path).write_bytes(content)


def arrays(path, **changes):
    """An npz with the changed members; None leaves one out."""

    def make():
        label = np.repeat([0, 1, 2], 9)
        image = np.zeros((27, 8, 8, 3), np.uint8)
        members = {"image": image, "label": label, **changes}
        np.savez(path, **{n: a for n, a in members.items() if a is not None})

    return make


def tensors(path, **members):
    return lambda: np.savez(path, **members)


def labels(values):
    """A training file with these labels."""
    image = np.zeros((len(values), 8, 8, 3), np.uint8)
    return arrays("train.npz", image=image, label=np.array(values))


def npy(shape):
    """The bytes of an array whose header tells of more than there is."""
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}\n"
    size = struct.pack("<H", len(header))
    return b"\x93NUMPY\x01\x00" + size + header.encode()


def liar(path, shape):
    def make():
        with zipfile.ZipFile(path, "w") as archive:
            for member in ("image", "label"):
                archive.writestr(f"{member}.npy", npy(shape))

    return make


def cut(path):
    """The file, without its end."""

    def make():
        whole = Path(path).read_bytes()
        Path(path).write_bytes(whole[: len(whole) // 2])

    return make


def flipped(path):
    """The file with another byte in the middle of its pixels."""

    def make():
        whole = bytearray(Path(path).read_bytes())
        whole[1000] ^= 0xFF
        Path(path).write_bytes(whole)

    return make


def photos(*paths):
    def make():
        for number, path in enumerate(paths):
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (12, 10), (number, 0, 0)).save(path)

    return make


def giants(*paths):
    """PNG files whose header tells of ten thousand megapixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    crc = struct.pack(">I", zlib.crc32(header))
    start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + crc
    content = start + struct.pack(">I", 9) + b"IDAT" + bytes(9)

    def make():
        for path in paths:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).write_bytes(content)

    return make


def folders(*paths):
    return lambda: [Path(path).mkdir(parents=True) for path in paths]


def link(path, to):
    return lambda: Path(path).symlink_to(to)


def finished(name="r", image=(8, 8, 3), record=None, **changes):
    """What a finished run tells of itself; its weights are not there."""
    config = json_of(Config())
    record = record or {"config": config, "run": {"pretrained": None}}
    kept = [("sgd", "none"), ("swa", "none"), ("swa", "la"), ("swa", "ncm")]
    results = {
        "dataset": {
            "classes": 3,
            "test": 12,
            "counts": [9, 5, 0],
            "class_names": ["a", "b", "c"],
            "image": image,
        },
        "rows": [
            {"backbone": backbone, "classifier": classifier, "variant": ""}
            for backbone, classifier in kept
        ],
        **changes,
    }

    def make():
        Path(name).mkdir()
        (Path(name) / "config.json").write_text(json.dumps(record))
        (Path(name) / "results.json").write_text(json.dumps(results))

    return make


def experts(image=(8, 8, 3), data=None):
    """The same of a run of experts, which learned from the data of `mine.py`."""

    def make():
        config, *_ = main.read(["--config", "mine.py"])
        digest = data or identity.fingerprint(load(config.data))
        run = {"data": digest, "pretrained": None}
        made = json_of(Config(model=Experts(count=2)))
        finished(image=image, record={"config": made, "run": run})()

    return make


def unfinished():
    finished()()
    Path("r/results.json").unlink()


def share(**shares):
    return (finished(), text("p.json", json.dumps(shares)))


def archives():
    photos("a/1.png")()
    with zipfile.ZipFile("photos.zip", "w") as archive:
        archive.write("a/1.png", "../../a/1.png")
    with tarfile.open("photos.tar", "w") as archive:
        archive.add("a/1.png", "../a/1.png")
    Path("photos.npz").write_bytes(Path("photos.zip").read_bytes())


def ended(path, *flags):
    """The folder of a run that has ended, as far as a page needs it."""

    def make():
        run(path, *flags)()
        counts = {"counts": [9, 9, 9], "name": "x", "train": 27, "test": 6}
        results = {"dataset": counts, "seed": 0, "rows": [], "seconds": {}}
        Path(path, "results.json").write_text(json.dumps(results))

    return make


def run(path, *flags):
    """The folder of a run that has begun, and gone no further."""

    def make():
        config, *_ = main.read(["--config", "mine.py", *flags])
        run = identity.of_run(config, load(config.data))
        claim.claim(Path(path), config, run)

    return make


def table(path):
    """A finished run of other rows, one of SWAG's among them."""
    names = [(b, c) for b in ("sgd", "swa") for c in ("none", "ncm")]
    rows = [
        {"backbone": backbone, "classifier": classifier, "variant": ""}
        for backbone, classifier in (*names, ("swag", "none"))
    ]
    return finished(path, rows=rows)
