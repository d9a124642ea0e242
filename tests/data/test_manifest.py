import hashlib
import io
import json
import struct
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from ltjax.config import Data
from ltjax.data import manifest
from ltjax.data.dataset import Split
from ltjax.mistake import Mistake
from ltjax.stages.loading import load

FACTORS = (10, 50, 100, 200)
TOTALS = {
    "cifar10_lt": (20_431, 13_996, 12_406, 11_203),
    "cifar100_lt": (19_573, 12_608, 10_847, 9_502),
}


def test_the_digest_is_what_it_says():
    rows = [7, 0, 2**33]
    wanted = hashlib.sha256(struct.pack("<3q", 0, 7, 2**33)).hexdigest()
    for kind in (np.int64, np.dtype(">i8"), np.uint64):
        assert manifest.digest(np.array(rows, kind)) == wanted
    assert manifest.digest(rows[:2]) != wanted


@pytest.mark.parametrize("name", TOTALS)
@pytest.mark.parametrize("factor", FACTORS)
def test_cifar_follows_its_rule(name, factor):
    found = manifest.find(name, factor)
    assert found == manifest.find(f"{name}_if{factor}")
    classes = found["classes"]
    largest = {10: 5000, 100: 500}[classes]
    # The rule in Python's own numbers.
    counts = [
        int(largest * (1 / factor) ** (c / (classes - 1))) for c in range(classes)
    ]
    assert found["counts"] == counts
    assert found["train"] == TOTALS[name][FACTORS.index(factor)]
    assert found["test_per_class"] * classes == 10_000


@pytest.mark.parametrize(
    ("name", "classes", "train", "largest", "smallest", "test"),
    [
        ("imagenet_lt", 1000, 115_846, 1280, 5, 50_000),
        ("places_lt", 365, 62_500, 4980, 5, 36_500),
        ("inaturalist2018", 8142, 437_513, None, None, 24_426),
    ],
)
def test_large_sets_have_their_published_totals(
    name, classes, train, largest, smallest, test
):
    found = manifest.find(name)
    assert (found["classes"], found["train"]) == (classes, train)
    assert found["test_per_class"] * classes == test
    if largest:
        counts = np.array(found["counts"])
        assert len(counts) == classes
        assert counts.sum() == train
        assert (counts.max(), counts.min()) == (largest, smallest)
    else:
        assert found["counts"] is None


@pytest.mark.parametrize("name", manifest.names())
def test_every_manifest_is_whole(name):
    found = manifest.find(name)
    fields = {"name", "classes", "train", "test_per_class", "list", "counts"}
    images = ("images", "test_images")
    assert set(found) == {*fields, "image", *images}
    for name in images:
        assert (found[name] is None) == (found["image"] is None)
        for digest in found[name] or ():
            assert len(bytes.fromhex(digest)) == 8
        assert len(set(found[name] or range(found["classes"]))) == found["classes"]
    if found["counts"]:
        assert len(found["counts"]) == found["classes"]
        assert sum(found["counts"]) == found["train"]
    assert found["list"] is None or len(bytes.fromhex(found["list"])) == 32


@pytest.mark.parametrize("factor", [None, 20])
def test_an_unknown_name_is_refused(factor):
    with pytest.raises(Mistake, match=r"no cifar10_lt\w* is known, only .*places_lt"):
        manifest.find("cifar10_lt", factor)


def test_a_digest_of_a_class_is_of_its_pixels_in_any_order():
    images = np.random.default_rng(0).integers(0, 256, (6, 4, 4, 3), np.uint8)
    labels = np.array([1, 0, 1, 1, 0, 1])

    def by_hand(rows):
        seen = b"".join(sorted(hashlib.sha256(bytes(images[r])).digest() for r in rows))
        return hashlib.sha256(seen).hexdigest()[:16]

    wanted = [by_hand([1, 4]), by_hand([0, 2, 3, 5]), by_hand([])]
    assert manifest.of_classes(images, labels, 3) == wanted
    turned = manifest.of_classes(images[::-1], labels[::-1], 3)
    assert turned == wanted
    images[2, 3, 3, 2] ^= 1
    found = manifest.of_classes(images, labels, 3)
    assert [a == b for a, b in zip(found, wanted)] == [True, False, True]


SMALL = {
    "name": "small",
    "classes": 3,
    "train": 9,
    "test_per_class": 2,
    "counts": [5, 3, 1],
    "list": manifest.digest(range(9)),
    "images": ["a", "b", "c"],
    "test_images": ["d", "e", "f"],
}
FOUND = {
    "classes": 3,
    "counts": [5, 3, 1],
    "train": 9,
    "test_per_class": [2, 2, 2],
}
OTHER_LIST = manifest.digest(range(1, 10))


@pytest.mark.parametrize(
    ("found", "known", "otherwise", "message"),
    [
        ({}, {}, "", None),
        ({"list": SMALL["list"], "draw": None}, {}, "", None),
        ({"images": ["a", "b", "c"], "test_images": ["d", "e", "f"]}, {}, "x", None),
        ({"list": OTHER_LIST, "draw": None}, {"list": None}, "", None),
        ({"images": ["a", "b", "x"]}, {"images": None}, "", None),
        ({"classes": 2}, {}, "", "there are 2 classes, the manifest says 3"),
        (
            {"counts": [5, 2, 2], "test_per_class": [1, 1, 1]},
            {},
            "",
            "class 1 has 2 images, the manifest says 3",
        ),
        (
            {"counts": [5, 4, 1], "train": 10},
            {"counts": None},
            "",
            "there are 10 training images, the manifest says 9",
        ),
        (
            {"test_per_class": [2, 2, 3]},
            {},
            "",
            "class 2 has 3 test images, the manifest says 2",
        ),
        (
            {"images": ["a", "x", "y"]},
            {},
            "",
            "class 1 has images of SHA-256 x, the manifest says b "
            "(other images, or another order)",
        ),
        (
            {"images": ["a", "x", "y"]},
            {},
            "data.subset is first",
            "class 1 has images of SHA-256 x, the manifest says b "
            "(images are kept unlike the published draw: data.subset is first)",
        ),
        (
            {"images": ["a", "b", "c"], "test_images": ["d", "e", "x"]},
            {},
            "",
            "class 2 has test images of SHA-256 x, the manifest says f",
        ),
        (
            {"list": OTHER_LIST, "draw": None},
            {"list": None},
            "data.subset is first",
            "images are kept unlike the published draw: data.subset is first",
        ),
        (
            {"list": OTHER_LIST, "draw": None},
            {},
            "",
            f"the list of training images has SHA-256 {OTHER_LIST[:16]}, the manifest "
            f"says {SMALL['list'][:16]} (other images, or another order)",
        ),
    ],
)
def test_the_first_difference(found, known, otherwise, message):
    found = manifest.difference({**SMALL, **known}, {**FOUND, **found}, otherwise)
    assert found == message


def test_no_manifest_checks_nothing():
    label = np.zeros(5, np.int32)
    split = Split(np.zeros((5, 1, 1, 1), np.uint8), label)
    assert manifest.check(Data(), split, np.arange(5), split, 1) is None


# Three classes in an order of their own; a fourth part of the last is kept.
COUNTS = (12, 6, 3)
RNG = np.random.default_rng(5)
LABELS = RNG.permutation(np.repeat([0, 1, 2], 12))
IMAGES = RNG.integers(0, 256, (36, 4, 4, 3), np.uint8)
TESTS = RNG.integers(0, 256, (6, 4, 4, 3), np.uint8)


def drawn():
    """The rows that Cao et al. keep, written once more."""
    np.random.seed(0)
    for label, count in enumerate(COUNTS):
        rows = np.flatnonzero(np.equal(LABELS, label))
        np.random.shuffle(rows)
        yield from rows[:count]


KEPT = np.array(list(drawn()))


@pytest.fixture
def locked(tmp_path, monkeypatch):
    """Locks the set as manifests of three kinds; returns a function that reads it."""

    def digests(images, labels):
        return manifest.of_classes(images, labels, 3)

    whole = {
        "classes": 3,
        "train": 21,
        "test_per_class": 2,
        "counts": COUNTS,
        "list": manifest.digest(KEPT),
        "image": [4, 4, 3],
        "images": digests(IMAGES[KEPT], LABELS[KEPT]),
        "test_images": digests(TESTS, [0, 0, 1, 1, 2, 2]),
    }
    nothing = dict.fromkeys(("image", "images", "test_images"))
    folder = tmp_path / "manifests"
    folder.mkdir()
    for name, unknown in (
        ("pixels", {}),
        ("list", nothing),
        ("counts", {**nothing, "list": None}),
    ):
        (folder / f"{name}_if4.json").write_text(json.dumps({**whole, **unknown}))
    monkeypatch.setattr(manifest, "_FOLDER", folder)

    def read(
        name="pixels",
        image=IMAGES,
        label=LABELS,
        test=TESTS,
        rank=None,
        console=None,
        **more,
    ):
        train, path = {"image": image, "label": label}, tmp_path / "test.npz"
        if rank is not None:
            train["rank"] = rank
        np.savez(tmp_path / "train.npz", **train)
        np.savez(path, image=test, label=np.repeat([0, 1, 2], 2))
        settings = Data(
            source="npz",
            train=str(tmp_path / "train.npz"),
            test=str(path),
            imbalance_factor=4,
            manifest=name,
            **more,
        )
        return load(settings, console or Console(quiet=True)).manifest

    return read


def refused(read, *args, **more):
    with pytest.raises(Mistake) as caught:
        read(*args, **more)
    message = str(caught.value)
    assert "\n" not in message
    before, after = "data.manifest ", "--data.allow-mismatch True goes on with the data"
    assert message.startswith(before)
    assert after in message
    record = read(*args, allow_mismatch=True, **more)
    assert record["difference"] in message
    assert json.loads(json.dumps(record)) == record
    return record["difference"]


def official_rank():
    rank = np.arange(36) + 100
    for label in range(3):
        rows = KEPT[LABELS[KEPT] == label]
        rank[rows] = np.arange(len(rows))
    return rank


ORDER = np.random.default_rng(6).permutation(36)
BASIC = ["classes", "counts", "train", "test_per_class"]
PIXELS = [*BASIC, "images", "test_images"]


def test_the_right_data_pass(locked):
    wanted = {"list": manifest.digest(KEPT), "difference": None}
    for name, compared in (
        ("pixels", PIXELS),
        ("list", [*BASIC, "draw", "list"]),
        ("counts", [*BASIC, "draw"]),
    ):
        record = {"name": f"{name}_if4", "compared": compared, **wanted}
        assert locked(name) == record


def test_the_right_images_in_another_file_pass(locked):
    turned = {"image": IMAGES[ORDER], "label": LABELS[ORDER]}
    record = locked(**turned, rank=official_rank()[ORDER])
    assert (record["difference"], record["compared"]) == (None, PIXELS)
    # Cut before, in whatever order.
    rows = KEPT[::-1]
    record = locked(image=IMAGES[rows], label=LABELS[rows])
    assert record == {
        "name": "pixels_if4",
        "list": None,
        "compared": PIXELS,
        "difference": None,
    }
    # What is not kept does not matter.
    image = IMAGES.copy()
    image[np.setdiff1d(np.arange(36), KEPT)] = 0
    assert locked(image=image)["difference"] is None


@pytest.mark.parametrize("name", ["pixels", "list", "counts"])
def test_other_rows_than_the_published_are_refused(locked, name):
    unlike = "images are kept unlike the published draw: "
    rank, rng = np.empty(36, int), np.random.default_rng(7)
    for label in range(3):
        rank[label == LABELS] = rng.permutation(12)
    for settings, why in (
        ({"subset": "first"}, "data.subset is first"),
        ({"subset_seed": 1}, "data.subset_seed is 1"),
        ({"rank": rank}, "the training file has a `rank` of its own"),
        ({"rank": rank, "subset": "first"}, "data.subset is first"),
    ):
        told = refused(locked, name, **settings)
        assert unlike + why in told
        # All of the first class are kept anyway.
        assert told.startswith("class 1 has images of SHA-256 " * (name == "pixels"))


def test_another_order_or_image_or_label_is_refused(locked):
    turned = {"image": IMAGES[ORDER], "label": LABELS[ORDER]}
    assert refused(locked, **turned).endswith("(other images, or another order)")
    assert refused(locked, "list", **turned).startswith("the list of training images")
    # Where neither list nor images are known it cannot be seen, and is not claimed.
    assert locked("counts", **turned)["compared"] == [*BASIC, "draw"]
    image = IMAGES.copy()
    image[KEPT[-1], 0, 0, 0] ^= 1
    assert refused(locked, image=image).startswith("class 2 has images of SHA-256")
    label = LABELS.copy()
    label[KEPT[0]], label[KEPT[-1]] = 2, 0
    assert refused(locked, image=IMAGES, label=label)
    test = TESTS.copy()
    test[3, 0, 0, 0] ^= 1
    assert refused(locked, test=test).startswith("class 1 has test images of SHA-256")


def test_a_manifest_is_of_the_set_before_images_are_held_out(locked):
    assert locked(holdout=2) == {**locked(), "holdout": 2}
    console = Console(width=200, file=io.StringIO())
    locked(holdout=2, console=console)
    told = console.file.getvalue()
    assert told == (
        "data.manifest pixels_if4 is of the set as it was before data.holdout 2\n"
    )
    record = refused(locked, subset="first", holdout=2)
    assert record.startswith("class 1 has images of SHA-256")


def test_scaled_images_are_held_against_the_list(locked):
    large = IMAGES.repeat(2, 1).repeat(2, 2)
    tests = TESTS.repeat(2, 1).repeat(2, 2)
    assert locked(image=large, test=tests)["compared"] == [*BASIC, "draw", "list"]
    told = refused(locked, image=large, test=tests, subset="first")
    assert told.startswith("images are kept unlike the published draw")


def test_the_script_writes_what_is_locked(locked, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "experiments"))
    import locked as script

    folder = manifest._FOLDER
    wanted = json.loads((folder / "pixels_if4.json").read_text())
    (folder / "list_if4.json").rename(folder / "cifar100_lt_if4.json")
    monkeypatch.setattr(script, "FOLDER", folder)
    monkeypatch.setattr(script, "FACTORS", (4,))
    locked("pixels")  # leaves its files there
    files = [f"--{name}={folder.parent / name}.npz" for name in ("train", "test")]
    script.main(files)
    assert json.loads((folder / "cifar100_lt_if4.json").read_text()) == wanted
    locked("pixels", image=IMAGES[ORDER], label=LABELS[ORDER], allow_mismatch=True)
    with pytest.raises(SystemExit, match="another list; give the official order"):
        script.main(files)


# The files beside the project hold CIFAR-100 in a packing of their own.
SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


def unpacked(name):
    with np.load(SHARED / name, allow_pickle=False) as file:
        planes = file["d"].cumsum(2, np.uint8).cumsum(3, np.uint8)
        image = planes.transpose(1, 2, 3, 0).copy()
        label = file["label"].astype(np.int32)
    image[..., ::2] += image[..., 1:2]
    return Split(image, label)


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="no CIFAR-100 beside the project")
def test_the_real_images_are_those_that_are_locked():
    train, test = map(unpacked, ("cifar100_lt100_train.npz", "cifar100_test.npz"))
    settings, rows = (
        Data(imbalance_factor=100, manifest="cifar100_lt"),
        np.arange(10847),
    )
    record = manifest.check(settings, train, rows, test, 100)
    assert record["difference"] is None
    assert record["compared"] == PIXELS
    train.image[-1, 5, 5, 1] ^= 1
    with pytest.raises(Mistake, match="class 99 has images of SHA-256"):
        manifest.check(settings, train, rows, test, 100)
