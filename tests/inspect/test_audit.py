"""What an audit finds, against counting by hand."""

import unicodedata

import numpy as np
import pytest
from PIL import Image

from ltjax.data import listing
from ltjax.inspect import audit
from ltjax.mistake import Mistake


def paint(path, colour, size=(10, 8), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).convert(mode).save(path)


def found(root):
    files = listing.folder(root)
    return audit.findings(files, audit.files(files))


@pytest.mark.parametrize(
    "counts", [[5, 5, 5], [1, 0, 0, 0], [500, 100, 20, 3], [2, 7], [3]]
)
def test_gini_is_half_the_mean_difference_over_the_mean(counts):
    counts = np.array(counts, float)
    difference = np.abs(counts[:, None] - counts[None]).mean()
    expected = difference / 2 / counts.mean()
    assert audit.gini(counts) == pytest.approx(expected, abs=1e-12)


def test_findings(tmp_path):
    for at in range(6):
        paint(tmp_path / f"train/a b/{at}.png", (at, 0, 0))
    paint(tmp_path / "train/ä/0.png", (0, 9, 0), (20, 6), "L")
    paint(tmp_path / "train/ä/1.png", (0, 0, 9))
    paint(tmp_path / "test/a b/same.bmp", (3, 0, 0))  # equal pixels, another file
    paint(tmp_path / "test/ä/same.png", (5, 0, 0))
    paint(tmp_path / "test/ä/turned.png", (3, 0, 0), (8, 10))
    paint(tmp_path / "test/only/0.png", (8, 8, 8))
    whole = (tmp_path / "train/ä/1.png").read_bytes()
    (tmp_path / "train/ä/cut.png").write_bytes(whole[:-25])
    (tmp_path / "train/a b/empty.jpg").touch()
    (tmp_path / "test/ä/text.jpg").write_text("text")
    (tmp_path / "train/none").mkdir()
    (tmp_path / "train/notes.txt").touch()
    seen = found(tmp_path)
    assert list(seen["counts"].items()) == [
        ("a b", 7),
        ("none", 0),
        ("only", 1),
        ("ä", 4),
    ]
    assert (seen["images"], seen["classes"], seen["name"]) == (12, 4, tmp_path.name)
    assert seen["empty_classes"] == ["none"]
    assert seen["imbalance_factor"] == 7
    assert seen["gini"] == pytest.approx(audit.gini([7, 0, 1, 4]))
    assert seen["groups"] == {"many": [], "medium": [], "few": sorted(seen["counts"])}
    assert seen["undecodable"] == [
        "test/ä/text.jpg",
        "train/a b/empty.jpg",
        "train/ä/cut.png",
    ]
    assert [file["kind"] for file in seen["skipped"]] == [
        *("broken", "empty", "truncated")
    ]
    across_classes = ["test/ä/same.png", "train/a b/5.png"]
    same_class = ["test/a b/same.bmp", "train/a b/3.png"]
    assert seen["duplicates"] == [same_class, across_classes]
    assert seen["duplicates_across_classes"] == [across_classes]
    assert seen["duplicates_across_splits"] == [same_class, across_classes]
    assert seen["splits"]["train"] == {"a b": 6, "none": 0, "only": 0, "ä": 2}
    assert seen["splits"]["test"] == {"a b": 1, "none": 0, "only": 1, "ä": 2}
    assert seen["modes"] == {"RGB": 11, "L": 1}
    assert seen["pixels"]["width"] == [8, 10, 20]
    assert seen["pixels"]["shorter_side"] == [6, 8, 8]
    assert seen["passed_over"] == {".txt": 1}
    assert seen["alike_names"] == []


def test_images_too_large_are_skipped_but_not_undecodable(tmp_path, monkeypatch):
    paint(tmp_path / "a/0.png", "red", (10, 10))
    paint(tmp_path / "b/0.png", "blue", (11, 10))
    monkeypatch.setattr(audit.decoding, "MOST_PIXELS", 100)
    seen = found(tmp_path)
    assert seen["undecodable"] == []
    assert seen["counts"] == {"a": 1, "b": 0}
    assert seen["skipped"] == [
        {"path": "b/0.png", "kind": "refused", "reason": "11 x 10 pixels; at most 100"}
    ]


def test_names_that_look_alike_are_told(tmp_path):
    forms = [unicodedata.normalize(form, "Käfer") for form in ("NFC", "NFD")]
    for at, name in enumerate([*forms, "Dog", "dog", "cat"]):
        paint(tmp_path / name / "0.png", (at, 0, 0))
    alike = found(tmp_path)["alike_names"]
    assert sorted(map(sorted, alike)) == sorted([["Dog", "dog"], sorted(forms)])


def test_one_sided():
    train, test = {"a": 1, "b": 0, "c": 3, "d": 0}, {"a": 2, "b": 5, "c": 0, "d": 0}
    assert audit.one_sided(train, test) == {"train": ["c"], "test": ["b"]}


def test_arrays():
    images = np.zeros((5, 4, 6, 1), np.uint8)
    images[1:4, 0, 0, 0] = [1, 2, 1]
    files = listing.arrays("x", [("x.npz", np.array([0, 0, 1, 1, 3]))])
    seen = audit.findings(files, audit.arrays(images))
    assert seen["duplicates"] == [["x.npz[0]", "x.npz[4]"], ["x.npz[1]", "x.npz[3]"]]
    assert seen["duplicates_across_splits"] == []
    assert seen["counts"] == {"0": 2, "1": 2, "2": 0, "3": 1}
    assert seen["pixels"]["width"] == [6, 6, 6]
    assert seen["modes"] == {"L": 5}


def test_no_readable_image_is_refused(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.jpg").touch()
    with pytest.raises(Mistake, match=r"none of the 2 .* is .*/a/1\.jpg: no bytes$"):
        found(tmp_path)


def test_what_is_transparent_deep_or_of_one_colour(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()

    def save(path, pixels, **more):
        Image.fromarray(pixels).save(tmp_path / path, **more)

    rgba = rng.integers(0, 255, (4, 5, 4), dtype=np.uint8)
    save("a/clear.png", rgba)
    save("a/opaque.png", np.dstack([rgba[..., :3], np.full((4, 5), 255, np.uint8)]))
    white = np.full((4, 5, 4), 255, np.uint8)
    white[:2, ..., 3] = 0
    save("a/white lines.png", white)
    save("b/deep.png", np.array([[300, 4000]], np.uint16))
    save("b/even.tif", np.array([[7, 7]], np.uint16))
    save("b/float.tif", np.array([[-1.5, np.nan]], np.float32))
    seen = found(tmp_path)
    assert seen["skipped"] == []
    assert seen["transparent"] == 2
    assert seen["one_colour"] == ["a/white lines.png", "b/even.tif", "b/float.tif"]
    assert (seen["deep"], seen["deep_range"]) == (3, (-1.5, 4000.0))
    assert seen["reduced"] == 0
