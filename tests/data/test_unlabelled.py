"""Which images are read, in which order, and what becomes of those that are none."""

import threading
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from ltjax.data import kinds, unlabelled
from ltjax.data.shape import Shape
from ltjax.mistake import Mistake

SHAPE = Shape(8, 8, 3)


def paint(path, seed=0, size=(8, 8)):
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return pixels


def taken(images, size=3):
    with unlabelled.batches(images, size) as batches:
        return list(batches)


def test_a_folder_of_any_depth(tmp_path):
    names = ["a/2.png", "a/b/c/1.png", "a.png", "a/10.png", "train/x/1.png", "z.png"]
    wanted = {name: paint(tmp_path / name, seed) for seed, name in enumerate(names)}
    (tmp_path / "notes.txt").touch()
    (tmp_path / "a" / ".hidden.png").touch()
    (tmp_path / "link").symlink_to("a")
    images = unlabelled.read(tmp_path, SHAPE)
    assert (images.key, images.count) == ("path", 6)
    assert images.ignored == {
        ".txt": 1,
        "hidden": 1,
        "links to folders": 1,
    }
    batches = taken(images, 4)
    assert [len(batch.names) for batch in batches] == [4, 2]
    found = [name for batch in batches for name in batch.names]
    # By name, folder by folder.
    assert found == [
        *("a/10.png", "a/2.png", "a/b/c/1.png"),
        *("a.png", "train/x/1.png", "z.png"),
    ]
    pixels = np.concatenate([batch.image for batch in batches])
    np.testing.assert_array_equal(pixels, [wanted[name] for name in found])
    # And once more: nothing is used up.
    assert [b.names for b in taken(images, 4)] == [b.names for b in batches]


def test_one_file(tmp_path):
    pixels = paint(tmp_path / "one.PNG")
    (batch,) = taken(unlabelled.read(tmp_path / "one.PNG", SHAPE))
    assert batch.names == ["one.PNG"]
    np.testing.assert_array_equal(batch.image, [pixels])


def test_a_csv_in_its_order(tmp_path):
    for seed, name in enumerate("ab"):
        paint(tmp_path / "in" / f"{name}.png", seed)
    file = tmp_path / "list.csv"
    file.write_text("split,Path\n,in/b.png\n\ntest,./in/a.png\n,in/b.png\n,in/c.png\n")
    images = unlabelled.read(file, SHAPE)
    assert images.count == 4
    batches = taken(images)
    names = [name for batch in batches for name in batch.names]
    assert names == ["in/b.png", "./in/a.png", "in/b.png", "in/c.png"]
    assert batches[1].problems == ["No such file or directory"]
    assert not batches[1].image.any()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("label\na\n", "has the columns label; wanted path"),
        ("path\n../a.png\n", "line 2: ../a.png leaves the folder of the file"),
        ("path\n/a.png\n", "leaves the folder"),
        ("path,label\n,1\n", "line 2: the path is empty"),
        ("path\na.png,b.png\n", "line 2: 2 values for 1 columns"),
        ("path\n", "has no images"),
        ("", "has the columns none"),
    ],
)
def test_a_csv_that_is_none(tmp_path, text, says):
    file = tmp_path / "list.csv"
    file.write_text(text)
    with pytest.raises(Mistake, match=says):
        unlabelled.read(file, SHAPE)


def test_arrays(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (7, 8, 8, 3), dtype=np.uint8)
    np.savez(tmp_path / "a.npz", image=pixels)
    images = unlabelled.read(tmp_path / "a.npz", SHAPE)
    assert (images.key, images.count) == ("index", 7)
    batches = taken(images)
    assert [name for batch in batches for name in batch.names] == list(range(7))
    np.testing.assert_array_equal(np.concatenate([b.image for b in batches]), pixels)
    assert not any(batch.resized or batch.recoloured for batch in batches)
    (batch,) = taken(unlabelled.read(tmp_path / "a.npz", Shape(4, 4, 1)), 9)
    assert (batch.resized, batch.recoloured) == (7, 7)


def test_what_cannot_be_read_says_why(tmp_path):
    for seed in range(4):
        paint(tmp_path / f"{seed}.png", seed)
    whole = (tmp_path / "0.png").read_bytes()
    (tmp_path / "1.png").write_bytes(whole[:-30])
    (tmp_path / "2.png").write_bytes(b"")
    (batch,) = taken(unlabelled.read(tmp_path, SHAPE), 9)
    assert [bool(problem) for problem in batch.problems] == [False, True, True, False]
    assert "truncated" in batch.problems[1]
    assert batch.problems[2] == "no bytes"
    assert not batch.image[1:3].any()
    assert batch.image[3].any()


def test_names_are_printable(tmp_path):
    paint(tmp_path / "new\nline \udcff.png")
    (batch,) = taken(unlabelled.read(tmp_path, SHAPE))
    assert batch.names == [r"new\nline \xff.png"]
    assert batch.problems == [""]


def test_paths_without_images(tmp_path):
    (tmp_path / "a.txt").touch()
    for path, says in (
        (tmp_path, r"has no images, wanted some \(passed over: 1 .txt"),
        (tmp_path / "a.txt", r"is no image; wanted a folder, an image file, a .csv"),
        (tmp_path / "b", "does not exist"),
    ):
        with pytest.raises(Mistake, match=says):
            unlabelled.read(path, SHAPE)
    paint(tmp_path / "a.png")
    with pytest.raises(Mistake, match="images of 3 channels, the run's have 2"):
        unlabelled.read(tmp_path, Shape(8, 8, 2))


def test_two_batches_are_held_however_many_there_are(tmp_path):
    paint(tmp_path / "a.png")
    lines = ["path", *["a.png"] * 400]
    file = tmp_path / "list.csv"
    file.write_text("\n".join(lines))
    images = unlabelled.read(file, Shape(64, 64, 3))
    with unlabelled.batches(images, 8) as batches:
        next(batches)
        tracemalloc.start()
        for _ in batches:
            pass
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    # A batch of 8 images is 98 KB, all of them are 4.9 MB.
    assert peak < 1_000_000


def test_threads_end_with_the_context(tmp_path):
    paint(tmp_path / "a.png")
    before = threading.active_count()

    def interrupted():
        with unlabelled.batches(unlabelled.read(tmp_path, SHAPE), 1) as batches:
            next(batches)
            assert threading.active_count() > before
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert threading.active_count() == before


@pytest.mark.parametrize("error", [MemoryError(), ValueError("odd"), Exception()])
def test_whatever_is_wrong_with_one_image_ends_no_other(tmp_path, monkeypatch, error):
    for seed in range(3):
        paint(tmp_path / f"{seed}.png", seed, size=(8, 8 + seed))
    of_picture = Shape.of_picture

    def failing(shape, seen):
        if seen.image.size == (9, 8):
            raise error
        return of_picture(shape, seen)

    monkeypatch.setattr(Shape, "of_picture", failing)
    (batch,) = taken(unlabelled.read(tmp_path, SHAPE), 9)
    assert [bool(problem) for problem in batch.problems] == [False, True, False]
    assert not batch.image[1].any()


def test_of_arrays_too(tmp_path, monkeypatch):
    np.savez(tmp_path / "a.npz", image=np.ones((3, 4, 4, 3), np.uint8))

    def failing(*_):
        raise MemoryError

    monkeypatch.setattr(Shape, "of_array", failing)
    (batch,) = taken(unlabelled.read(tmp_path / "a.npz", SHAPE), 9)
    assert batch.problems == 3 * ["more than the memory holds"]


def test_a_very_long_image_is_seen_as_any_other(tmp_path):
    paint(tmp_path / "long.png", size=(1, 80_000))
    shape = Shape(64, 64, 3, 0.08)
    (batch,) = taken(unlabelled.read(tmp_path, shape))
    assert batch.problems == [""]


def test_what_systems_and_runs_leave_is_passed_over(tmp_path):
    paint(tmp_path / "a.png")
    for junk in ("@eaDir", "x/__MACOSX", "x/lost+found", "x/.thumbnails"):
        paint(tmp_path / junk / "a.png")
    paint(tmp_path / "runs/r-seed0/plot.png")
    (tmp_path / "runs/r-seed0/config.json").write_text('{"run": {}, "config": {}}')
    (tmp_path / "b.heic").touch()
    images = unlabelled.read(tmp_path, SHAPE)
    assert images.count == 1
    assert images.ignored == {
        **{name: 1 for name in (".heic", "@eaDir", "__MACOSX", "folders of runs")},
        **{"hidden": 1, "lost+found": 1},
    }


def test_a_csv_of_another_program(tmp_path):
    """Names are as it has them, whatever files they mean."""
    wanted = [paint(tmp_path / "in" / name, at) for at, name in enumerate(("a.png",))]
    file = tmp_path / "list.csv"
    file.write_text(f"id;Filename\n1;in\\a.png\n2;IN/A\n3;{tmp_path}/in/a.png\n")
    (batch,) = taken(unlabelled.read(file, SHAPE))
    assert batch.names == ["in\\a.png", "IN/A", f"{tmp_path}/in/a.png"]
    assert batch.problems == ["", "", ""]
    np.testing.assert_array_equal(batch.image, wanted * 3)


@pytest.mark.skipif(".avif" not in kinds.SUFFIXES, reason="a Pillow without AVIF")
def test_avif(tmp_path):
    Image.new("RGB", (8, 8), (200, 30, 30)).save(tmp_path / "a.AVIF", quality=95)
    (batch,) = taken(unlabelled.read(tmp_path, SHAPE))
    assert batch.problems == [""]
    assert abs(batch.image[0].astype(int) - (200, 30, 30)).max() < 10
