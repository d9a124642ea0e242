"""Wrong commands, configs and files: exit code 2, one line, nothing changed.

A row of the table is its name, what is made in the folder where the command is typed,
the command, and a part of the one line on stderr. Flags that there are not get such a
line, too.
"""

import json
import os
import shlex
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from ltjax import main
from ltjax.config import Classifier, Config, Experts, Srepr
from ltjax.config.record import to_json as json_of
from ltjax.export import __main__ as export
from ltjax.inspect import __main__ as inspect
from ltjax.predict import __main__ as predict
from ltjax.report import __main__ as report
from ltjax.route import __main__ as route
from ltjax.stages import representation
from ltjax.stages.loading import load
from ltjax.workdir import claim, identity

FILE = """
from ltjax.config import Config, Data, CifarResNet, Sgd, Swa
config = Config(
    data=Data(source="npz", train="train.npz", test="test.npz"),
    optim=Sgd(epochs=4, warmup_epochs=1, batch_size=8),
    swa=Swa(start=2),{model}
)
"""
LONG = "x" * 300  # longer than any file system's names
CONFIG = "from ltjax.config import *\n"
PREDICT = "predict r train.npz --out o.csv"
ROUTE = "route r --out o.json"
EMPTY = "e has no images, wanted CLASS/*.jpg or train/CLASS/*.jpg in it"


class Row(NamedTuple):
    """A line of the table."""

    name: str
    made: object  # functions that make what the command meets
    command: str
    says: str


# What is made


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


# The table

FLAGS = (
    (
        "lr not a number",
        "--optim.lr nan",
        "optim.lr is nan; it must be above 0, and finite",
    ),
    ("lr infinite", "--swa.lr inf", "swa.lr is inf; it must be above 0, and finite"),
    ("rank", "--swa.rank 1", "swa.rank is 1; it must be at least 2"),
    (
        "rank beyond the memory",
        "--swa.rank 2147483647",
        "2147483647 deviations",
    ),
    ("rank beyond numbers", f"--swa.rank {10**20}", "it must be below 2147483648"),
    (
        "no draws",
        "--posterior.samples 0",
        "posterior.samples is 0; it must be at least 1",
    ),
    ("draws without end", "--posterior.samples 1001", "it must be at most 1000"),
    ("views without end", "--classifier.views 10000", "it must be at most 1000"),
    (
        "epochs without end",
        f"--optim.epochs {10**20}",
        f"optim.epochs is {10**20}; it must be at most 1000000",
    ),
    *(
        (
            f"{value} minutes",
            f"--stop-after-minutes={value}",
            f"stop_after_minutes is {float(value)}; it must be 0 or more",
        )
        for value in ("-1", "nan", "inf")
    ),
    ("seeds: none", "--seeds ''", "--seeds is empty; give some, such as 0,1,2"),
    *(
        (
            f"seeds: {found}",
            f"--seeds={seeds}",
            f"--seeds {seeds} has {found!r}; it must",
        )
        for seeds, found in (
            ("0,-1", "-1"),
            ("0,,1", ""),
            ("0,b", "b"),
            ("0,1.5", "1.5"),
        )
    ),
    ("seeds: doubled", "--seeds 0,1,0", "--seeds 0,1,0 has 0 twice; give every seed"),
    (
        "seeds: beyond",
        f"--seeds 0,{2**32}",
        f"seed is {2**32}; it must be in 0..{2**32 - 1}",
    ),
    (
        "seeds: and a seed",
        "--seeds 0,1 --seed=1",
        "--seed and --seeds are both given; give one of them",
    ),
    (
        "seeds: and others' backbones",
        "--seeds 0,1 --stage-one x",
        "--stage-one is of one seed; give it to a run of that seed, without --seeds",
    ),
    (
        "parallel: without seeds",
        "--parallel 2",
        "parallel is 2; it is for --seeds, give some",
    ),
    (
        "parallel: none",
        "--seeds 0,1 --parallel 0",
        "parallel is 0; it must be at least 1",
    ),
    (
        "parallel: on many hosts",
        "--seeds 0,1 --parallel 2 --hosts.detect",
        "parallel is 2; with --hosts it must be 1",
    ),
    ("no epochs", "--optim.epochs 0", "optim.epochs is 0; it must be at least 1"),
    (
        "warm-up to the end",
        "--optim.warmup-epochs 4",
        "it must lie between optim.warmup_epochs (4) and optim.epochs (4)",
    ),
    (
        "start at the end",
        "--swa.start 4",
        "swa.start is 4; it must lie between optim.warmup_epochs (1) and "
        "optim.epochs (4)",
    ),
    (
        "one snapshot",
        "--swa.every-steps 4",
        "snapshots after swa.start are 1, in 2 epochs of 3 steps; a posterior "
        "needs 2: lower swa.start or swa.every_steps",
    ),
    ("half a batch a device", "--optim.batch-size 7", "batch"),
    (
        "batch beyond the data",
        "--optim.batch-size 28",
        "optim.batch_size is 28; it must be at most the 27 training images",
    ),
    (
        "filled batch beyond the data",
        "--optim.batch-size 28 --optim.drop-last False",
        "optim.batch_size is 28; it must be at most the 27 training images",
    ),
    ("depth without end", f"--model.depth {6 * 10**9 + 2}", "it must be at most 1202"),
    ("width beyond the memory", "--model.width 1000000", "memory in MiB: parameters"),
    (
        "another model's depth",
        "--model resnet10 --model.depth 8",
        "--model.depth is for --model cifar_resnet; here it is resnet",
    ),
    (
        "another model's weights",
        "--model.pretrained w.npz",
        "--model.pretrained is for --model resnet; here it is cifar_resnet",
    ),
    ("an unknown model", "--model resnet18", "--model is 'resnet18'; it must be cifar"),
    (
        "a flag that moved",
        "--data.pad 4",
        "--data.pad is called --augment.pad now",
    ),
    (
        "factor beyond the classes",
        "--data.imbalance-factor 10",
        "data.imbalance_factor is 10; it must be at most 9, or class 2 has no "
        "training image",
    ),
    (
        "largest class beyond the data",
        "--data.imbalance-factor 3 --data.largest 10",
        "class 0 has 9 training images, imbalance factor 3 from 10 needs 10",
    ),
    (
        "largest class beyond numbers",
        f"--data.imbalance-factor 3 --data.largest {10**21}",
        "it must be below 2147483648",
    ),
    (
        "largest without a factor",
        "--data.largest 5",
        "data.largest is 5 without data.imbalance_factor; the profile needs both",
    ),
    (
        "labels beyond the classes",
        "--data.classes 2",
        "train.npz: 'label' is 2 in row 18, wanted 0..1",
    ),
    ("classes beyond numbers", f"--data.classes {10**12}", "at most 1000000"),
    ("one class asked for", "--data.classes 1", "data.classes is 1; it must be at"),
    (
        "all held out",
        "--data.holdout 9",
        "class 0 has 9 training images, of which 9 cannot be held out",
    ),
    (
        "padding beyond the image",
        "--augment.pad 9",
        "augment.pad is 9; it must be at most 8, the shorter side of the images",
    ),
    (
        "a typo in a path",
        "--data.train trian.npz",
        "trian.npz does not exist; did you mean train.npz?",
    ),
    (
        "no folder",
        "--data.train no/a.npz",
        "no/a.npz does not exist, nor does the folder no",
    ),
    ("a long path", f"--data.train {LONG}", f"{LONG} does not exist"),
    ("a folder as data", "--data.train .", ". is a folder, wanted an .npz file"),
    (
        "no data",
        "--data.train None",
        "data.train is None; it must name an npz file",
    ),
    (
        "no test data",
        "--data.test None",
        "data.test is None; it must name an npz file",
    ),
    ("too few to split", "--data.test None --data.test-per-class 1", "no test images"),
    (
        "another source's path",
        "--data.source digits",
        "data.train is 'train.npz', which only --data.source npz reads; "
        "data.source is digits",
    ),
    (
        "another number of classes",
        "--data.source digits --data.train None --data.test None --data.classes 9",
        "data.classes is 9; digits has 10",
    ),
    (
        "an unknown source",
        "--data.source cifar",
        "data.source is 'cifar'; it must be digits, folder, csv, npz or tfds:NAME",
    ),
    (
        "what only streams read",
        "--augment.jitter 0.4",
        "augment.jitter is 0.4, which only --data.source folder or csv or tfds reads",
    ),
    (
        "a range of what is no file",
        "--data.range 0 4095",
        "data.range is (0.0, 4095.0), which only --data.source folder or csv or tfds",
    ),
    (
        "a range upside down",
        "--data.range 5 -1",
        "data.range is (5.0, -1.0); it must be two finite numbers, the lower one first",
    ),
    (
        "an unknown colour",
        "--data.background whiteish",
        "data.background is 'whiteish'; it must be a colour, such as black or",
    ),
    (
        "an unknown manifest",
        "--data.manifest cifar101_lt",
        "data.manifest: no cifar101_lt is known, only cifar100_lt_if10, ",
    ),
    ("a manifest's path", "--data.manifest ../mine", "data.manifest: no ../mine is"),
    (
        "another set's manifest",
        "--data.manifest cifar100_lt_if100",
        "there are 3 classes, the manifest says 100; --data.allow-mismatch True goes",
    ),
    (
        "a loss of experts without any",
        "--objective ride",
        "objective is Ride, of several experts, and the model is an ordinary network",
    ),
    (
        "no experts",
        "--model experts --model.count 0",
        "model.count is 0; it must be at",
    ),
    (
        "more experts than priors",
        "--model experts --model.count 4 --objective mdcs",
        "objective.scales is (-0.5, 1.0, 2.5); it must have one number for each of",
    ),
    ("a path as name", "--name a/b", "name is 'a/b'; it must be the name of a folder"),
    ("a long name", f"--name {LONG}", "it must be at most 200 bytes long"),
    (
        "a file as folder",
        "--out mine.py",
        "--out mine.py is a file; it must be a folder or not exist",
    ),
    (
        "a file as parent",
        "--out mine.py/x",
        "--out mine.py/x cannot be written: Not a directory",
    ),
    (
        "a folder of others",
        "--out .",
        "--out . holds other files; give a new or empty folder",
    ),
    ("a long folder", f"--out {LONG}", "cannot be written: File name too long"),
    (
        "stage one nowhere",
        "--stage-one nowhere",
        "nowhere holds no run; give the folder of one",
    ),
    ("stage one a file", "--stage-one mine.py", "mine.py holds no run; give the"),
    ("stage one no run", "--stage-one .", ". holds no run; give the folder of one"),
    (
        "half an address",
        "--hosts.count 2",
        "hosts.coordinator is None; give hosts.coordinator",
    ),
    (
        "a host too many",
        "--hosts.coordinator x:1 --hosts.count 2 --hosts.index 2",
        "hosts.index is 2; it must be in 0..hosts.count - 1",
    ),
    (
        "no port",
        "--hosts.coordinator x --hosts.count 2 --hosts.index 0",
        "hosts.coordinator is 'x'; it must be HOST:PORT",
    ),
)
CONFIGS = (
    ("brackets", "x = (1", ": SyntaxError: '(' was never closed (bad.py, line 1)"),
    ("a failure", "\n1 / 0", ", line 2: ZeroDivisionError: division by zero"),
    ("two lines", "raise ValueError('a\\nb')", ", line 1: ValueError: a"),
    ("no words", "raise ValueError", ", line 1: ValueError"),
    (
        "a missing module",
        "import nothing_of_that_name",
        ", line 1: ModuleNotFoundError: No module named",
    ),
    ("an exit", "import sys; sys.exit(3)", ", line 1: SystemExit: 3"),
    ("a null byte", "\x00", ": "),
    ("nothing", "", " assigns no `config`, an ltjax.config.Config"),
    ("another name", "Config = 1", " assigns no `config`, an ltjax.config.Config"),
    (
        "a number",
        "config = 1",
        " assigns int to `config`; it must be an ltjax.config.Config",
    ),
    (
        "a class",
        f"{CONFIG}config = Config",
        " assigns type to `config`; it must be an ltjax.config.Config",
    ),
    (
        "an unknown field",
        "from ltjax.config import Sgd\n\nSgd(epoch=3)",
        ", line 3: TypeError: Sgd.__init__() got an unexpected keyword argument "
        "'epoch'",
    ),
    (
        "text as number",
        f"{CONFIG}config = Config(optim=Sgd(lr='3'))",
        ": optim.lr is '3'; it must be a number",
    ),
    (
        "a fraction as count",
        f"{CONFIG}config = Config(optim=Sgd(epochs=2.5))",
        ": optim.epochs is 2.5; it must be an integer",
    ),
    (
        "another stage",
        f"{CONFIG}config = Config(classifier=Srepr())",
        f": classifier is {Srepr()!r}; it must be Classifier",
    ),
    (
        "an unknown method",
        f"{CONFIG}config = Config(classifier=Classifier(methods=('la', 'LA')))",
        ": classifier.methods is ('la', 'LA'); it must be a tuple of 'crt' or",
    ),
)
ARRAYS = (
    ("no image", {"image": None}, "has no member 'image'; it has 'label'"),
    ("no label", {"label": None}, "has no member 'label'; it has 'image'"),
    (
        "numbers that are none",
        {"image": np.full((27, 8, 8, 3), np.nan)},
        "'image' is float64, wanted uint8",
    ),
    (
        "pixels in 0..1",
        {"image": np.zeros((27, 8, 8, 3), np.float32)},
        "'image' is float32, wanted uint8",
    ),
    (
        "vectors",
        {"image": np.zeros((27, 192), np.uint8)},
        "'image' has shape (27, 192), wanted [N, H, W, ch]",
    ),
    (
        "channels first",
        {"image": np.zeros((27, 3, 8, 8), np.uint8)},
        "channels first; wanted channels last",
    ),
    (
        "nothing",
        {"image": np.zeros((0, 8, 8, 3), np.uint8), "label": np.zeros(0, int)},
        "'image' has shape (0, 8, 8, 3), wanted some pixels",
    ),
    (
        "no pixels",
        {"image": np.zeros((27, 0, 8, 3), np.uint8)},
        "wanted some pixels",
    ),
    (
        "another shape than the test's",
        {"image": np.zeros((27, 9, 8, 3), np.uint8)},
        "has images of shape (9, 8, 3), test.npz of shape (8, 8, 3)",
    ),
    ("labels too few", {"label": np.arange(3)}, "27 images but 3 labels, wanted as"),
    ("float labels", {"label": np.arange(27.0)}, "'label' is float64 of shape (27,)"),
    ("text labels", {"label": np.array(["a"] * 27)}, "'label' is <U1 of shape (27,)"),
    (
        "one-hot labels",
        {"label": np.eye(27, dtype=int)},
        "'label' is int64 of shape (27, 27), wanted integers [N]",
    ),
    (
        "a negative label",
        {"label": np.arange(-1, 26)},
        "'label' is -1 in row 0, wanted 0..999999",
    ),
    (
        "a label that is no class",
        {"label": np.arange(27) + 10**6},
        "'label' is 1000000 in row 0, wanted 0..999999",
    ),
    (
        "a label beyond int64",
        {"label": np.full(27, 2**63, np.uint64)},
        "'label' is 9223372036854775808 in row 0, wanted 0..999999",
    ),
    (
        "labels to unpickle",
        {"label": np.array([{}] * 27, object)},
        "Object arrays cannot be loaded when allow_pickle=False",
    ),
    (
        "images to unpickle",
        {"image": np.array([None] * 27, object)},
        "Object arrays cannot be loaded when allow_pickle=False",
    ),
    ("ranks twice", {"rank": np.zeros(27, int)}, "'rank' is 0 twice in class 0"),
)
FILES = (
    ("text", data("train.npz", b"image,label\n"), "is not an .npz file, or it is cut"),
    ("nothing at all", data("train.npz", b""), "is not an .npz file, or it is cut"),
    ("an array", data("train.npz", npy("(3,)")), "is not an .npz file, or it is cut"),
    ("a pickle", data("train.npz", b"\x80\x04N."), "is not an .npz file, or it is cut"),
    ("half a file", cut("train.npz"), "is not an .npz file, or it is cut short"),
    ("a bit flipped", flipped("train.npz"), "cannot be read: Bad CRC-32"),
    ("an image too large", liar("train.npz", (10**12, 8, 8, 3)), "than the memory"),
    ("a negative size", liar("train.npz", (-5, 8, 8, 3)), "cannot be read: "),
    ("half an image", liar("train.npz", "(5.5,)"), "shape is not valid: (5.5,)"),
    ("a program", liar("train.npz", "(exit(),)"), "cannot be read: malformed node"),
    ("a link to itself", link("loop.npz", "loop.npz"), "loop.npz does not exist"),
    ("a zip of others", archives, "photos.npz has no member 'image'; it has "),
    (
        "one class",
        labels([0] * 27),
        "class 1 has 0 training images, imbalance factor 3 from 27 needs 15",
    ),
)
WEIGHTS = (
    (
        "PyTorch's own",
        data("w.pth", b"\x80\x02N."),
        "w.pth is not a .safetensors or .npz file; PyTorch's own files are written",
    ),
    ("nowhere", (), "w.npz is not a file"),
    ("a long path", (), f"{LONG}.npz is not a file"),
    ("a folder", folders("w.npz"), "w.npz is not a file"),
    ("text", data("w.npz", b"text"), "w.npz is not an .npz file of plain arrays"),
    ("an array", data("w.npz", npy("(3,)")), "w.npz is not an .npz file of plain"),
    (
        "a pickle",
        tensors("w.npz", a=np.array([{}], object)),
        "Object arrays cannot be loaded when allow_pickle=False",
    ),
    ("a tensor too large", liar("w.npz", (10**15,)), "an array larger than the memory"),
    (
        "a part missing",
        tensors("w.npz", fc=np.zeros(3)),
        "w.npz has no tensor 'bn1.running_mean', which the model needs",
    ),
    (
        "another shape",
        tensors("w.npz", **{"bn1.running_mean": np.zeros(3, np.float32)}),
        "w.npz: 'bn1.running_mean' has shape [3], wanted [64]",
    ),
    (
        "integers",
        tensors("w.npz", **{"bn1.running_mean": np.zeros(64, int)}),
        "w.npz: 'bn1.running_mean' is int64, wanted real numbers",
    ),
    (
        "not finite",
        tensors("w.npz", **{"bn1.running_mean": np.full(64, np.inf, np.float32)}),
        "w.npz: 'bn1.running_mean' is not finite everywhere",
    ),
    (
        "damaged safetensors",
        data("w.safetensors", struct.pack("<Q", 2**40) + b"{}"),
        "w.safetensors is not a whole .safetensors file",
    ),
)
CSVS = (
    ("columns", "path,group\na,1\n", "has the columns path, group; wanted path, label"),
    ("no names", "a.png,cat\n", "; the first line must name the columns: path,label"),
    ("two labels", "path,class,target\na,1,2\n", "call that of class and target 'labe"),
    ("two spellings", "path,label\na,cat\nb,Cat\n", "'Cat' is spelled 'cat' in line 2"),
    (
        "of another disk",
        "path,label\nD:\\a.png,1\n",
        "D:\\a.png leaves the folder of th",
    ),
    ("up by backslash", "path,label\n..\\out.png,1\n", "..\\out.png leaves the folder"),
    ("no header", "", "has the columns none; wanted path, label"),
    ("no rows", "path,label\n", "has no images, wanted a row per image"),
    ("one class", "path,label\na,1\nb,1\n", "has one class, '1'; it takes 2 to tell"),
    ("a value missing", "path,label\na,1\nb\n", "line 3: 1 values for 2 columns"),
    ("up and out", "path,label\na,1\n../out.png,2\n", "line 3: ../out.png leaves the"),
    ("round about", "path,label\na/../../o,2\n", "line 2: a/../../o leaves the folder"),
    ("absolute", "path,label\n/etc/passwd,2\n", "line 2: /etc/passwd leaves the"),
    ("a link out", "path,label\na.png,1\nl.png,2\n", "line 3: l.png leaves the folder"),
    ("a linked folder", "path,label\nup/o.png,1\n", "line 2: up/o.png leaves the"),
    ("a null byte", "path,label\n\0,1\nb,2\n", "none of its 2 files is there; the fi"),
    ("a null folder", "path,label\na\0/b,1\nb,2\n", "none of its 2 files is there"),
    ("twice", "path,label\na,1\n./a,2\n", "line 3: ./a is there already, in line 2"),
    ("a split", "path,label,split\na,1,tset\n", "line 2: the split is 'tset', wanted"),
    (
        "an unknown label",
        "path,label,split\na,cat,train\nb,dog,train\nc,cta,test\n",
        "line 4: the label 'cta' is in no training row; did you mean 'cat'?",
    ),
    ("no files", "path,label\na,1\nb,2\n", "none of its 2 files is there; the first"),
    ("a quote", 'path,label\n"a,1\n', "cannot be read as a CSV: "),
    ("a cell without end", f"path,label\n{'a' * 200_000},1\n", "cannot be read as"),
)
LINKS = link("l.png", "../outside.png"), link("up", "..")
FOLDER = "main --config folder.py --data.path"
EXPORTS = (
    ("nothing", (), "nowhere --to npz", "nowhere holds no run; give the folder of one"),
    ("a file", (), "mine.py --to npz", "mine.py holds no run; give the folder of one"),
    ("unfinished", run("r"), "r --to npz", "r holds a run that is not finished"),
    ("no format", table("r"), "r", "--to is not given; give one or more of safetens"),
    (
        "a row",
        table("r"),
        "r --to npz --classifier swa/lda",
        "--classifier swa/lda is no row of r, which has sgd/none, sgd/ncm, swa/n",
    ),
    (
        "many passes",
        table("r"),
        "r --to onnx --classifier swag/none",
        "--classifier swag/none is the mean of many passes, not one network; give swa/",
    ),
    (
        "not linear",
        table("r"),
        "r --to npz --classifier sgd/ncm",
        "--classifier sgd/ncm is not one linear layer, as safetensors and npz need it; "
        "--to onnx holds it as it is",
    ),
    (
        "a point's posterior",
        table("r"),
        "r --to posterior --classifier sgd/none",
        "--to posterior needs a row of swa; sgd/none is a point",
    ),
    (
        "an earlier one",
        (
            table("r"),
            folders("r/export"),
            text("r/export/export.json", '{"classifier": "sgd/none", "files": {}}'),
            text("r/export/model.npz", ""),
        ),
        "r --to npz --classifier swa/none",
        "--out r/export holds sgd/none, not swa/none; give another --out, or --overwr",
    ),
    *(
        (
            f"an earlier one that is {what}",
            (table("r"), folders("r/export"), text("r/export/export.json", record)),
            "r --to npz --overwrite --classifier swa/none",
            says,
        )
        for what, record, says in (
            ("none", "{}", "r/export/export.json is not that of an export; give ano"),
            ("a list", "[1]", "r/export/export.json is not that of an export; give a"),
            ("damaged", '{"classif', "r/export/export.json is damaged"),
        )
    ),
    (
        "others' files",
        (table("r"), folders("r/export"), text("r/export/README.md", "mine")),
        "r --to npz --overwrite --classifier swa/none",
        "--out r/export holds other files; give a new or empty folder",
    ),
    (
        "over the run",
        table("r"),
        "r --to npz --out r --overwrite --classifier swa/none",
        "--out r holds other files; give a new or empty folder",
    ),
    (
        "into a file",
        table("r"),
        "r --to npz --out mine.py --classifier swa/none",
        "--out mine.py is a file; it must be a folder or not exist",
    ),
    (
        "below a file",
        table("r"),
        "r --to npz --out mine.py/x/y --classifier swa/none",
        "--out mine.py/x/y cannot be written: mine.py takes no files",
    ),
    (
        "a long folder",
        table("r"),
        f"r --to npz --out {LONG} --classifier swa/none",
        "cannot be written: File name too long",
    ),
)
RIDE = (
    "main --config mine.py --model experts --model.of.head cosine --model.count 2 "
    "--objective ride --objective.teacher"
)
TEACHERS = (
    ("none", (), "r", "objective.teacher: r holds no run; give the folder of one"),
    ("a file", (), "mine.py", "mine.py holds no run; give the folder of one"),
    ("unfinished", unfinished, "r", "r holds a run that is not finished; run its"),
    ("no experts", finished(), "r", "r is of an ordinary network; it must be one of"),
    (
        "other classes",
        experts(),
        "r --data.classes 4",
        "r has dataset.classes 3; it must be 4, as here",
    ),
    (
        "other pixels",
        experts(image=(9, 8, 3)),
        "r",
        "r has dataset.image [9, 8, 3]; it must be [8, 8, 3], as here",
    ),
    (
        "other data",
        experts(data="x"),
        "r",
        "r has other images or labels, or streamed them unlike this run; it must be a",
    ),
    ("no weights", experts(), "r", "r/checkpoints/sgd has nothing; finish the run fir"),
    (
        "another loss",
        (),
        "r --objective shike",
        "--objective.teacher is for --objective ride; here it is shike",
    ),
    (
        "no distillation",
        (),
        "None --objective.repeated False",
        "objective.repeated is False without objective.teacher",
    ),
)
ROWS = (
    *(Row(n, (), f"main --config mine.py {flags}", says) for n, flags, says in FLAGS),
    *(
        Row(f"config: {n}", text("bad.py", content), "main --config bad.py", says)
        for n, content, says in (
            (n, content, f"--config bad.py{says}") for n, content, says in CONFIGS
        )
    ),
    Row(
        "config: no text", data("bad.py", b"\xff\xfe\x00"), "main --config bad.py", ": "
    ),
    Row(
        "config: a typo",
        (),
        "main --config mien.py",
        "--config mien.py is not a file; did you mean mine.py?",
    ),
    Row("config: nowhere", (), "main --config no/x.py", "--config no/x.py is not a"),
    Row("config: a folder", (), "main --config .", "--config . is not a file"),
    Row("config: long", (), f"main --config {LONG}", f"--config {LONG} is not a file"),
    *(
        Row(f"npz: {n}", arrays("train.npz", **members), "main --config mine.py", says)
        for n, members, says in ARRAYS
    ),
    *(
        Row(
            f"npz: {n}",
            made,
            "main --config mine.py "
            + {
                "a link to itself": "--data.train loop.npz",
                "a zip of others": "--data.train photos.npz",
                "one class": "--data.imbalance-factor 3",
            }.get(n, ""),
            says,
        )
        for n, made, says in FILES
    ),
    Row(
        "npz: one class in both",
        (labels([0] * 9), arrays("test.npz", label=np.zeros(27, int))),
        "main --config mine.py",
        "train has 1 class; it takes 2 to tell apart",
    ),
    Row(
        "npz: another tail",
        labels([0] * 20 + [1] * 9 + [2] * 4),
        "main --config mine.py --data.imbalance-factor 10",
        "class 1 has 9 training images, imbalance factor 10 from 20 needs 6: the set "
        "has another tail",
    ),
    *(
        Row(
            f"weights: {n}",
            made,
            "main --config weights.py --model resnet10 --model.pretrained "
            + {
                "PyTorch's own": "w.pth",
                "damaged safetensors": "w.safetensors",
                "a long path": f"{LONG}.npz",
            }.get(n, "w.npz"),
            says,
        )
        for n, made, says in WEIGHTS
    ),
    *(Row(f"teacher: {n}", made, f"{RIDE} {c}", says) for n, made, c, says in TEACHERS),
    Row(
        "weights: a part trains without any",
        (),
        "main --config weights.py --model resnet10 --model.trained head",
        "model.trained is ('head',) without model.pretrained",
    ),
    Row(
        "weights: frozen by number, as earlier",
        (),
        "main --config weights.py --model resnet10 --model.frozen 4",
        "--model.frozen is called --model.trained now",
    ),
    Row(
        "a rotation of streamed images",
        photos(*(f"p/{name}/{i}.png" for name in "ab" for i in range(9))),
        "main --config mine.py --data.source folder --data.path p --data.train None "
        "--data.test None --data.stream True --data.test-per-class 1 "
        "--augment.rotate 15",
        "augment.rotate is 15.0; it changes images that are held in memory",
    ),
    Row(
        "a run of another config",
        run("old", "--optim.lr", "0.2"),
        "main --config mine.py --out old",
        "--out old holds another run: optim.lr was 0.2, now 0.1",
    ),
    Row(
        "a run where seeds should be",
        run("old"),
        "main --config mine.py --seeds 0,1 --out old",
        "--out old holds a run; with --seeds it must be a folder for one each",
    ),
    Row(
        "a run of other data",
        (run("old"), arrays("test.npz")),
        "main --config mine.py --out old",
        "--out old holds another run: its images or labels were others",
    ),
    Row(
        "a damaged run",
        (run("old"), text("old/config.json", "{")),
        "main --config mine.py --out old",
        "old/config.json is not a run's config; give another --out",
    ),
    Row(
        "stage one of another config",
        run("old", "--optim.lr", "0.2"),
        "main --config mine.py --stage-one old",
        "--stage-one old was trained otherwise: optim.lr was 0.2, now 0.1",
    ),
    Row(
        "stage one unfinished",
        run("old"),
        "main --config mine.py --stage-one old --classifier.lr 1.0",
        "--stage-one old has None epochs of sgd; it must have finished the 4",
    ),
    Row(
        "csv: nested",
        text("p.csv", "path,label\na,1\nb,2\n"),
        f"{FOLDER} p.csv --data.source csv --data.nested",
        "data.nested is True, which only --data.source folder reads",
    ),
    Row("folder: nowhere", (), f"{FOLDER} no", "no does not exist"),
    Row("folder: not named", (), FOLDER + " None", "data.path is None; it must name a"),
    Row("folder: a file", (), f"{FOLDER} mine.py", "mine.py is a file, wanted a"),
    Row("folder: a zip", archives, f"{FOLDER} photos.zip", "photos.zip is a file"),
    Row(
        "folder: empty",
        folders("e"),
        f"{FOLDER} e",
        EMPTY,
    ),
    Row(
        "folder: strict",
        (photos("p/a/1.png", "p/a/2.png", "p/b/1.png"), giants("p/b/2.png")),
        f"{FOLDER} p --data.strict",
        "p/b/2.png cannot be read: too many pixels; at most 80,000,000",
    ),
    Row(
        "folder: beyond the memory",
        photos("p/a/1.png", "p/b/1.png"),
        f"{FOLDER} p --data.size 4097",
        "data.size is 4097; it must be in 8..4096",
    ),
    Row(
        "folder: cropped twice",
        (),
        f"{FOLDER} p --augment.pad 4 --augment.crop-area 0.5",
        "augment.pad is 4 and augment.crop_area is 0.5; images are cropped in one of",
    ),
    Row(
        "csv: of a run",
        (text("p.csv", "path,label\na,1\n../b,2\n")),
        "main --config folder.py --data.source csv --data.path p.csv",
        "line 3: ../b leaves the folder of the file",
    ),
    Row(
        "tfds: unknown",
        (),
        f"{FOLDER} None --data.source tfds:no_such_set",
        "TFDS knows no data set 'no_such_set'",
    ),
    Row(
        "tfds: not prepared",
        (),
        f"{FOLDER} None --data.source tfds:cifar10 --data.directory .",
        "TFDS cifar10 is not prepared in cifar10/",
    ),
    # Inspection
    Row("inspect: nowhere", (), "inspect a/b", "a/b does not exist, nor does its"),
    Row(
        "inspect: a typo",
        photos("zoo/a/1.png"),
        "inspect zo",
        "zo does not exist; did you mean zoo?",
    ),
    Row("inspect: long", (), f"inspect {LONG}", f"{LONG} does not exist"),
    Row("inspect: long npz", (), f"inspect {LONG}.npz", f"{LONG}.npz does not exist"),
    Row("inspect: a file", (), "inspect mine.py", "mine.py is a file, wanted"),
    Row(
        "inspect: empty",
        folders("e"),
        "inspect e",
        EMPTY,
    ),
    Row("inspect: no classes", photos("e/1.png"), "inspect e", "e has no images, want"),
    Row(
        "inspect: one class",
        photos("p/b/1.png"),
        "inspect p",
        "p has one class, 'b'; it takes 2 to tell apart",
    ),
    Row(
        "inspect: no training class",
        photos("p/test/b/1.png", "p/test/a/1.png"),
        "inspect p",
        "p has test/, but no train/CLASS in it",
    ),
    Row(
        "inspect: no bytes",
        (folders("p/a", "p/b"), data("p/a/1.jpg", b""), data("p/b/1.jpg", b"")),
        "inspect p",
        "none of the 2 images can be read; the first is p/a/1.jpg: no bytes",
    ),
    Row(
        "inspect: too many pixels",
        giants("p/a/1.png", "p/b/1.png"),
        "inspect p",
        "p/a/1.png: too many pixels; at most 80,000,000",
    ),
    Row(
        "inspect: too few to split",
        photos("p/a/1.png", "p/b/1.png"),
        "inspect p",
        "p leaves no images to test on; a class needs 3 or more",
    ),
    Row(
        "inspect: a loop of links",
        (folders("p"), link("p/a", "../p"), link("p/b", "a")),
        "inspect p",
        "(passed over: 2 links to folders)",
    ),
    Row(
        "inspect: a level too high",
        (photos(*(f"p/i/{s}/{n}/1.png" for s in ("Train", "Test") for n in "ab"))),
        "inspect p",
        "p has no splits itself, i/ has Test/ and Train/; did you mean p/i?",
    ),
    Row(
        "inspect: a split among classes",
        photos("p/a/1.png", "p/b/1.png", "p/test/1.png"),
        "inspect p",
        "p has test/ among its classes; if that is a split, put the other classes",
    ),
    Row(
        "inspect: nested twice",
        photos("p/a/x/1.png", "p/b/x/1.png"),
        "inspect p --nested",
        "p has two folders 'x', a/x and b/x; with nested each is a class",
    ),
    Row("inspect: nested rows", (), "inspect train.npz --nested", "--nested is for a"),
    Row(
        "inspect: photos of a phone",
        (folders("p/a", "p/b"), data("p/a/1.HEIC", b""), data("p/b/1.heic", b"")),
        "inspect p",
        "(passed over: 2 .heic; convert .heic to .jpg or .png)",
    ),
    Row("inspect: a link to itself", link("p", "p"), "inspect p", "leads nowhere"),
    Row("inspect: a zip", archives, "inspect photos.zip", "photos.zip is a file"),
    Row("inspect: a tar", archives, "inspect photos.tar", "photos.tar is a file"),
    Row("inspect: a zip as npz", archives, "inspect photos.npz", "no member 'image'"),
    Row("inspect: text as npz", text("a.npz", "a"), "inspect a.npz", "is not an"),
    Row("inspect: npz size", (), "inspect train.npz --size 8", "--size is 8; images"),
    Row(
        "inspect: two shapes",
        arrays("test.npz", image=np.zeros((27, 4, 4, 3), np.uint8)),
        "inspect train.npz --test test.npz",
        "test.npz has images of shape (4, 4, 3), train.npz of shape (8, 8, 3)",
    ),
    Row("inspect: a test", (), "inspect . --test test.npz", "goes with an .npz"),
    Row("inspect: size", (), "inspect . --size 3", "data.size is 3; it must be in 8.."),
    Row(
        "inspect: split",
        (),
        "inspect . --test-per-class 0",
        "data.test_per_class is 0; it must be at least 1",
    ),
    Row(
        "inspect: json nowhere",
        (),
        "inspect train.npz --json a/b.json",
        "--json a/b.json: the folder a does not exist",
    ),
    Row("inspect: json a folder", (), "inspect . --json .", "--json . is a folder"),
    Row(
        "inspect: json over the data",
        (),
        "inspect train.npz --json train.npz",
        "--json train.npz exists; remove it or give another name",
    ),
    Row(
        "inspect: json over another's",
        text("mine.json", '{"counts": []}'),
        "inspect train.npz --json mine.json",
        "--json mine.json exists; remove it or give another name",
    ),
    Row("inspect: json long", (), f"inspect e --json {LONG}", "e does not exist"),
    Row(
        "inspect: both in one",
        (),
        "inspect train.npz --json new --config-out new",
        "--json new and --config-out new are one file",
    ),
    Row(
        "inspect: over a config",
        (),
        "inspect train.npz --config-out mine.py",
        "--config-out mine.py exists; remove it or give another name",
    ),
    *(
        Row(f"csv: {n}", (text("p.csv", content), *LINKS), "inspect p.csv", says)
        for n, content, says in CSVS
    ),
    Row("tsv: empty", text("p.tsv", "path\tlabel\n"), "inspect p.tsv", "has no images"),
    Row("csv: a folder", folders("p.csv"), "inspect p.csv", "p.csv has no images"),
    Row("csv: no text", data("p.csv", b"path,label\n\xff,1"), "inspect p.csv", "utf-8"),
    # Pages
    Row("page: of nothing", (), "report", "no run is given; give the folder of one"),
    Row("page: nothing there", (), "report runs/x", "runs/x holds no run; give the fo"),
    Row("page: a file", (), "report train.npz", "train.npz holds no run; give the fol"),
    Row("page: unfinished", run("r"), "report r", "r holds a run that is not finished"),
    Row(
        "page: one unfinished", (ended("r"), run("s")), "report r s", "s holds a run t"
    ),
    Row(
        "page: results damaged",
        (ended("r"), text("r/results.json", '{"rows": ')),
        "report r",
        "r/results.json is damaged",
    ),
    Row(
        "page: results of something else",
        (ended("r"), text("r/results.json", "[]")),
        "report r",
        "r holds a damaged run",
    ),
    Row(
        "page: predictions damaged",
        (ended("r"), text("r/predictions.npz", "x")),
        "report r",
        "r holds a damaged run",
    ),
    Row(
        "page: other data",
        (ended("r"), ended("s", "--data.imbalance-factor", "2")),
        "report r s",
        "s has other images or labels than r; only runs of the same data can be comp",
    ),
    Row("page: twice", ended("r"), "report r r", "r is seed 0 of the same settings as"),
    Row(
        "page: over the data",
        ended("r"),
        "report r --out train.npz",
        "train.npz holds something else; give a new file as --out",
    ),
    Row(
        "page: over something else",
        (ended("r"), text("r/report.html", "<html>")),
        "report r",
        "r/report.html holds something else; give a new file as --out",
    ),
    Row("page: a folder", (ended("r"), folders("d")), "report r --out d", "d is not a"),
    Row("page: no folder", ended("r"), "report r --out no/x.html", "no/x.html is not"),
    Row("page: long name", ended("r"), f"report r --out {LONG}", "name too long"),
    # Routes
    Row("route: no run", (), ROUTE, "r holds no run; give the folder of one"),
    Row("route: unfinished", unfinished, ROUTE, "r holds a run that is not finished"),
    Row("route: one network", finished(), ROUTE, "r has 1 expert; a router chooses be"),
    Row(
        "route: a row", finished(), f"{ROUTE} --classifier sgd/la", "sgd/la is no row "
    ),
    Row(
        "route: learned together",
        finished(
            record={
                "config": json_of(
                    Config(model=Experts(), classifier=Classifier(experts="together"))
                ),
                "run": {"pretrained": None},
            }
        ),
        f"{ROUTE} --classifier swa/la",
        "--classifier swa/la is of experts whose classifiers learned together, none of",
    ),
    Row("route: no epochs", (), f"{ROUTE} --epochs 0", "--epochs is 0; it must be at "),
    Row(
        "route: empty batches",
        (),
        f"{ROUTE} --batch-size 0",
        "--batch-size is 0; it must be at least 1",
    ),
    Row(
        "route: nothing at once", (), f"{ROUTE} --at-once 0", "--at-once is 0; it must"
    ),
    Row(
        "route: no logits", (), f"{ROUTE} --top 0", "--top is 0; it must be at least 1"
    ),
    Row("route: no rate", (), f"{ROUTE} --lr nan", "--lr is nan; it must be positive"),
    Row("route: no weight", (), f"{ROUTE} --weight 0", "--weight is 0.0; it must be p"),
    Row(
        "route: no probability",
        (),
        f"{ROUTE} --threshold 1.1",
        "--threshold is 1.1; it must be in 0..1",
    ),
    Row(
        "route: a suffix", (), "route r --out o.csv", "--out o.csv is no .json; wanted"
    ),
    Row("route: in no folder", (), "route r --out no/o.json", "the folder no does not"),
    Row("route: a folder", folders("o.json"), ROUTE, "--out o.json is a folder"),
    Row(
        "route: over a file",
        text("o.json", "mine"),
        ROUTE,
        "--out o.json exists; give another name, or --overwrite",
    ),
    Row(
        "route: over a router",
        text("o.router.npz", "mine"),
        ROUTE,
        "--out o.router.npz exists; give another name, or --overwrite",
    ),
    # Predictions
    Row("predict: no run", (), f"{PREDICT}", "r holds no run; give the folder of one"),
    Row("predict: long", (), f"predict {LONG} . --out o.csv", "holds no run; give the"),
    Row("predict: unfinished", unfinished, PREDICT, "r holds a run that is not fini"),
    Row(
        "predict: damaged",
        (finished(), text("r/results.json", "{")),
        PREDICT,
        "results.json is damaged",
    ),
    Row(
        "predict: an older run",
        finished(dataset={"classes": 3}),
        PREDICT,
        "does not tell the shape of images: an earlier version wrote it",
    ),
    Row(
        "predict: without weights",
        finished(),
        PREDICT,
        "r/checkpoints/swa has nothing; fin",
    ),
    Row("predict: nowhere", finished(), "predict r q --out o.csv", "q does not exist"),
    Row(
        "predict: long path",
        finished(),
        f"predict r {LONG} --out o.csv",
        f"{LONG} does not exist",
    ),
    Row(
        "predict: no images",
        (finished(), folders("e"), text("e/x.txt", "x")),
        "predict r e --out o.csv",
        "e has no images, wanted some (passed over: 1 .txt)",
    ),
    Row(
        "predict: a photo of a phone",
        (finished(), text("1.heic", "")),
        "predict r 1.heic --out o.csv",
        "or an .npz with image; convert .heic to .jpg or .png",
    ),
    Row(
        "predict: no image",
        finished(),
        "predict r mine.py --out o.csv",
        "mine.py is no image; wanted a folder, an image file, a .csv with a column",
    ),
    Row(
        "predict: an empty tsv",
        (finished(), text("p.tsv", "label\tfile\n")),
        "predict r p.tsv --out o.csv",
        "p.tsv has no images, wanted some",
    ),
    Row(
        "predict: a csv without paths",
        (finished(), text("p.csv", "other\na.png\n")),
        "predict r p.csv --out o.csv",
        "p.csv has the columns other; wanted path",
    ),
    Row(
        "predict: up and out",
        (finished(), text("p.csv", "path\n../outside.png\n")),
        "predict r p.csv --out o.csv",
        "p.csv, line 2: ../outside.png leaves the folder of the file",
    ),
    Row(
        "predict: npz of floats",
        (finished(), arrays("a.npz", image=np.zeros((2, 8, 8, 3), np.float32))),
        "predict r a.npz --out o.csv",
        "a.npz: 'image' is float32, wanted uint8 (0..255)",
    ),
    Row(
        "predict: npz without images",
        (finished(), arrays("a.npz", image=None)),
        "predict r a.npz --out o.csv",
        "a.npz has no member 'image'; it has label",
    ),
    Row(
        "predict: npz of two channels",
        (finished(), arrays("a.npz", image=np.zeros((2, 8, 8, 2), np.uint8))),
        "predict r a.npz --out o.csv",
        "a.npz has images of 2 channels, the run's have 3; wanted as many",
    ),
    Row(
        "predict: pictures for five channels",
        (finished(image=(8, 8, 5)), photos("e/a.png")),
        "predict r e --out o.csv",
        "e has images of 3 channels, the run's have 5",
    ),
    Row(
        "predict: a suffix",
        finished(),
        "predict r . --out o.txt",
        "--out o.txt is neither a .csv nor a .parquet; wanted either",
    ),
    Row(
        "predict: in no folder",
        finished(),
        "predict r . --out no/o.csv",
        "--out no/o.csv: the folder no does not exist",
    ),
    Row(
        "predict: a folder",
        (finished(), folders("o.csv")),
        PREDICT,
        "--out o.csv is a folder, wanted a file",
    ),
    Row(
        "predict: over a file",
        (finished(), text("o.csv", "mine")),
        PREDICT,
        "--out o.csv exists; give another name, or --overwrite",
    ),
    Row(
        "predict: over the images",
        (finished(), text("o.csv", "path\na.png\n")),
        "predict r o.csv --out o.csv --overwrite",
        "--out o.csv holds the images; give another name",
    ),
    Row(
        "predict: a long name",
        (finished(), photos("e/a.png")),
        f"predict r e --out {LONG}.csv",
        f"--out {LONG}.csv cannot be written: File name too long",
    ),
    Row(
        "predict: a part that is a folder",
        (finished(), photos("e/a.png"), folders("o.csv.part")),
        PREDICT,
        "--out o.csv cannot be written: Is a directory",
    ),
    Row(
        "predict: a row",
        finished(),
        f"{PREDICT} --classifier swa/lda",
        "--classifier swa/lda is no row of r, which has sgd/none, swa/none, swa/la, "
        "swa/ncm; did you mean swa/la?",
    ),
    *(
        Row(f"predict: {n} draws", finished(), f"{PREDICT} {flags}", says)
        for n, flags, says in (
            ("more", "--samples 11", "--samples is 11; it must be in 2..10"),
            ("one", "--samples 1", "--samples is 1; it must be in 2..10"),
            (
                "no",
                "--samples 2 --classifier sgd/none",
                "--samples is 2; sgd/none has no draws",
            ),
        )
    ),
    *(
        Row(f"predict: {n}", finished(), f"{PREDICT} --coverage {value}", says)
        for n, value, says in (
            ("all", 1, "--coverage is 1.0; it must be between 0 and 1"),
            ("nothing", 0, "--coverage is 0.0; it must be between 0 and 1"),
            ("percent", 90, "--coverage is 90.0; it must be between 0 and 1"),
            ("a coverage", "nan", "--coverage is nan; it must be between 0 and 1"),
            (
                "too few tests",
                0.99,
                "--coverage is 0.99; that takes 99 test images to calibrate with, and "
                "the run has 12: it must be at most 0.923\n",
            ),
        )
    ),
    *(
        Row(f"predict: a prior {n}", made, f"{PREDICT} --prior p.json", says)
        for n, made, says in (
            ("without a class", share(a=0.5, b=0.5), "p.json has no class 'c'; wanted"),
            (
                "of another",
                share(a=0.5, b=0.5, c=0, d=0),
                "p.json has an unknown class 'd'; wanted the run's 3",
            ),
            ("below 1", share(a=0.5, b=0.2, c=0.2), "the shares sum to 0.9, wanted 1"),
            ("below 0", share(a=1.5, b=-0.5, c=0), "share of 'a' is 1.5, wanted 0..1"),
            (
                "that is none",
                (finished(), text("p.json", "a: 1")),
                "--prior p.json cannot be read as JSON: Expecting value",
            ),
            ("nowhere", finished(), "p.json is not a file; wanted uniform, train"),
        )
    ),
    Row(
        "predict: no prior",
        finished(),
        f"{PREDICT} --prior uniform --classifier swa/ncm",
        "--prior uniform: the probabilities of swa/ncm assume no known shares of the "
        "classes; give --classifier, one of sgd/none, swa/none, swa/la",
    ),
    *(
        Row(f"export: {name}", made, f"export {command}", says)
        for name, made, command, says in EXPORTS
    ),
)
KNOWN = {row.name: row for row in ROWS}


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """The folder where commands are typed; what lies beside it is not theirs."""
    desk = tmp_path / "desk"
    desk.mkdir()
    monkeypatch.chdir(desk)
    monkeypatch.setenv("COLUMNS", "100")
    Image.new("RGB", (9, 9)).save(tmp_path / "outside.png")
    small = "\n    model=CifarResNet(depth=8, width=4),"
    Path("mine.py").write_text(FILE.format(model=small))
    Path("weights.py").write_text(FILE.format(model=""))
    Path("folder.py").write_text(
        f"{CONFIG}config = Config(data=Data(source='folder', path='p'))"
    )
    arrays("train.npz")()
    image = np.ones((6, 8, 8, 3), np.uint8)  # none of those to train on
    arrays("test.npz", image=image, label=np.arange(6) % 3)()
    return tmp_path


def tree(path):
    """What there is: links, folders, and the bytes of files."""

    def content(entry):
        if entry.is_symlink():
            return os.readlink(entry)
        return None if entry.is_dir() else entry.read_bytes()

    return {entry: content(entry) for entry in path.rglob("*")}


DOORS = {
    "main": main,
    "inspect": inspect,
    "predict": predict,
    "report": report,
    "export": export,
    "route": route,
}


def code_of(command, monkeypatch):
    """The exit code of a command, run in this process."""
    door, *arguments = shlex.split(command)

    def trains(*_):
        raise AssertionError("the command got as far as training")

    monkeypatch.setattr(representation, "train", trains)
    try:
        return DOORS[door].main(arguments)
    except SystemExit as end:
        return end.code


def made(row):
    for make in row.made if isinstance(row.made, tuple) else (row.made,):
        make()


def judge(code, error, row):
    assert code == 2, error
    assert error.startswith("ltjax: "), error
    assert error.count("\n") == 1, error
    assert error.endswith("\n")
    assert row.says in error


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name.replace(" ", "_"))
def test_bad_input(desk, capsys, monkeypatch, row):
    made(row)
    before = tree(desk)
    code = code_of(row.command, monkeypatch)
    judge(code, capsys.readouterr().err, row)
    assert tree(desk) == before


def test_every_row_has_a_name_of_its_own():
    assert len(KNOWN) == len(ROWS)


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("-m ltjax.main", "npz: labels to unpickle"),
        ("-m ltjax.inspect", "csv: up and out"),
        ("-m ltjax.predict", "predict: a prior below 1"),
    ],
)
def test_bad_input_to_a_process(desk, command, name):
    row = KNOWN[name]
    made(row)
    before = tree(desk)
    words = (*command.split(), *row.command.split()[1:])
    ended = subprocess.run((sys.executable, *words), capture_output=True, text=True)
    judge(ended.returncode, ended.stderr, row)
    assert ended.stdout == ""
    assert tree(desk) == before


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("main", "--config"),
        ("main --config", "--config"),
        ("main --seed 1", "--config"),
        ("main --config mine.py --optim.epoch 3", "--optim.epochs"),
        ("main --config mine.py --epochs 3", "--optim.epochs"),
        ("main --config mine.py --optim.epochs three", "three"),
        ("main --config mine.py --optim.epochs 2.5", "2.5"),
        ("main --config mine.py --model.dtype float16", "bfloat16"),
        ("main --config mine.py --classifier.methods la sreper", "srepr"),
        ("main --config mine.py --data.download", "--data.download"),
        ("main --config mine.py --augment.flip yes", "True"),
        ("main --config mine.py stray", "stray"),
        ("main --config mine.py --log wandb", "tensorboard"),
        ("main --config mine.py --seeds 0,1 --parallel two", "two"),
        ("inspect", "PATH"),
        ("report r --jsno x", "--jsno"),
        ("inspect . --jsno x", "--json"),
        ("predict", "RUN"),
        ("predict r", "PATH"),
        ("predict r p", "--out"),
        ("predict r p --out o.csv --sample 2", "--samples"),
        ("predict r p --out o.csv --coverage high", "high"),
        ("route", "RUN"),
        ("route r", "--out"),
        ("route r --out o.json --epoch 3", "--epochs"),
        ("export", "RUN"),
        ("export r --to torch", "safetensors"),
        ("export r --to npz --classifer swa/la", "--classifier"),
    ],
)
def test_flags_that_a_parser_refuses(desk, capsys, monkeypatch, command, says):
    before = tree(desk)
    code = code_of(command, monkeypatch)
    out, err = capsys.readouterr()
    assert code == 2
    assert says in err
    assert out == ""
    assert "Traceback" not in err
    assert tree(desk) == before
    assert err.startswith("ltjax: ")
    assert err.count("\n") == 1
