"""Images and weights that cannot be read: one line, nothing changed."""

import struct

import numpy as np
import pytest
from desk import EMPTY, LONG, Row, judge, named
from makers import (
    archives,
    arrays,
    cut,
    data,
    flipped,
    folders,
    giants,
    labels,
    liar,
    link,
    npy,
    photos,
    tensors,
    text,
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
        "w.pth is neither a zip file nor a stream of PyTorch's torch.save",
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
        "w.npz has no tensor 'bn1.running_mean' nor 59 others, which the model needs",
    ),
    (
        "damaged safetensors",
        data("w.safetensors", struct.pack("<Q", 2**40) + b"{}"),
        "w.safetensors is not a whole .safetensors file",
    ),
)
FOLDER = "main --config folder.py --data.path"
ROWS = (
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
        "a zoom into streamed images",
        photos(*(f"p/{name}/{i}.png" for name in "ab" for i in range(9))),
        "main --config mine.py --data.source folder --data.path p --data.train None "
        "--data.test None --data.stream True --data.test-per-class 1 "
        "--augment.zoom 0.5",
        "augment.zoom is 0.5; it is of images that are held in memory",
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
)


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_a_mistake_is_told_in_one_line(row, tmp_path, capsys, monkeypatch):
    judge(row, tmp_path, capsys, monkeypatch)
