"""Image files held in memory: who is there, who was skipped, who tests."""

import warnings

import numpy as np
import pytest
from PIL import Image

from ltjax.data import crops, decoding, listing, resident, unlabelled
from ltjax.data import streamed as pictures
from ltjax.data.dataset import Skipped
from ltjax.data.rendering import Rendering
from ltjax.data.shape import Shape
from ltjax.mistake import Mistake


def paint(path, colour, size=(10, 8)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


@pytest.fixture
def zoo(tmp_path):
    """12 cats, 6 dogs of other sizes; each image of a grey of its own."""
    for at in range(12):
        paint(tmp_path / f"cat/{at:02d}.png", (at, at, at))
    for at in range(6):
        paint(tmp_path / f"dog/{at:02d}.png", (100 + at,) * 3, (30, 40 + at))
    return tmp_path


def greys(split):
    assert (split.image == split.image[:, :1, :1, :1]).all()
    return split.image[:, 0, 0, 0].tolist()


def test_all_images_are_there_once(zoo):
    told = []
    data = resident.dataset(listing.folder(zoo), 16, 3, advance=lambda: told.append(1))
    assert len(told) == 18
    assert (data.name, data.classes, data.class_names) == (zoo.name, 2, ("cat", "dog"))
    assert data.skipped == ()
    assert data.train.image.shape == (12, 16, 16, 3)
    assert data.train.label.dtype == np.int32
    assert np.bincount(data.test.label).tolist() == [3, 3]
    everyone = greys(data.train) + greys(data.test)
    assert sorted(everyone) == [*range(12), *range(100, 106)]
    for split in (data.train, data.test):
        assert [int(grey >= 100) for grey in greys(split)] == split.label.tolist()


def test_the_seed_draws_the_test_images(zoo):
    files = listing.folder(zoo)
    drawn = [greys(resident.dataset(files, 8, 3, seed).test) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_split_that_is_there_is_used(tmp_path):
    for at, place in enumerate(("train/a", "train/b", "val/a", "test/b", "train/a")):
        paint(tmp_path / place / f"{at}.png", (at, at, at))
    data = resident.dataset(listing.folder(tmp_path), 8, 3)
    assert sorted(greys(data.train)) == [0, 1, 4]
    assert greys(data.test) == [3]


def test_what_cannot_be_read_is_skipped_and_named(zoo):
    whole = (zoo / "cat/03.png").read_bytes()
    (zoo / "cat/03.png").write_bytes(whole[:-30])
    (zoo / "dog/01.png").write_bytes(b"")
    (zoo / "cat/00a.jpg").write_bytes(b"no image")
    data = resident.dataset(listing.folder(zoo), 8, 2)
    assert data.skipped == (
        Skipped("cat/00a.jpg", "broken", "no image of a known kind"),
        Skipped("cat/03.png", "truncated", "image file is truncated"),
        Skipped("dog/01.png", "empty", "no bytes"),
    )
    everyone = greys(data.train) + greys(data.test)
    assert sorted(everyone) == sorted({*range(12), *range(100, 106)} - {3, 101})


def test_strict_refuses_the_first(zoo):
    (zoo / "dog/01.png").write_bytes(b"")
    (zoo / "dog/04.png").write_bytes(b"")
    with pytest.raises(Mistake) as caught:
        resident.dataset(listing.folder(zoo), 8, 2, strict=True)
    assert str(caught.value).startswith(f"{zoo}/dog/01.png cannot be read: no bytes; ")


def test_nothing_readable_is_refused(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.jpg").touch()
    message = (
        f"none of the 2 images can be read; the first is {tmp_path}/a/1.jpg: no by"
    )
    with pytest.raises(Mistake, match=message):
        resident.dataset(listing.folder(tmp_path), 8, 2)


def test_too_few_to_test_are_refused(tmp_path):
    for name in "ab":
        paint(tmp_path / name / "1.png", "red" if name == "a" else "blue")
    with pytest.raises(Mistake, match="leaves no test images"):
        resident.dataset(listing.folder(tmp_path), 8, 2)


def test_copies_of_a_file_all_train(zoo):
    for at in range(5):
        (zoo / f"dog/copy{at}.png").write_bytes((zoo / "cat/05.png").read_bytes())
    for seed in range(5):
        data = resident.dataset(listing.folder(zoo), 8, 100, seed)
        assert 5 not in greys(data.test)
        assert greys(data.train).count(5) == 6


def test_a_set_that_memory_cannot_hold_is_refused_unread(zoo):
    files = listing.folder(zoo)
    needed = 18 * 64 * 64 * 3
    resident.dataset(files, 64, 3, most_bytes=needed)
    with pytest.raises(Mistake, match=r"18 x 64 x 64 x 3 bytes are .*; give"):
        resident.dataset(files, 64, 3, most_bytes=needed - 1)


def test_each_keeps_the_order_and_the_warnings_of_others(monkeypatch):
    monkeypatch.setattr(resident, "_WINDOW", 3)
    assert resident.each(lambda x: x * x, range(10)) == [x * x for x in range(10)]
    assert resident.each(lambda x: x, []) == []
    with pytest.warns(UserWarning, match="mine"):
        resident.each(lambda x: warnings.warn("mine", UserWarning, stacklevel=1), [0])


def odd(root):
    """A class of 12-bit images and one of drawings on transparent black."""
    rng = np.random.default_rng(0)
    for at in range(4):
        (root / "deep").mkdir(parents=True, exist_ok=True)
        (root / "drawn").mkdir(exist_ok=True)
        values = rng.integers(0, 4096, (20, 30), dtype=np.uint16)
        Image.fromarray(values).save(root / f"deep/{at}.png")
        lines = np.zeros((24, 20, 4), np.uint8)
        lines[at : at + 9, 5:9, 3] = 255
        Image.fromarray(lines).save(root / f"drawn/{at}.png")
    return listing.folder(root)


@pytest.mark.parametrize(
    "shown",
    [
        Rendering(),
        Rendering(None),
        Rendering((0, 0, 0), (0, 4095)),
        Rendering((9, 99, 0), (1000, 2000)),
    ],
)
def test_a_rendering_is_the_same_held_streamed_and_predicted(tmp_path, shown):
    files = odd(tmp_path)
    held = resident.dataset(files, 8, 1, rendering=shown)
    streamed = pictures.of_listing(files, crops.Crop(8, rendering=shown), 1)
    np.testing.assert_array_equal(
        np.stack([streamed.train.image.plain(row) for row in range(6)]),
        held.train.image,
    )
    images = unlabelled.read(tmp_path, Shape(8, 8, 3, None, shown))
    with unlabelled.batches(images, 8) as batches:
        (batch,) = batches
    assert batch.problems == 8 * [""]
    for image in (*held.train.image, *held.test.image):
        assert any((image == other).all() for other in batch.image)
    # A drawing is seen against every background but the colour it has itself.
    drawings = held.train.image[held.train.label == 1]
    unseen = shown.background in (None, (0, 0, 0))
    assert (drawings.min() == drawings.max()) == unseen


def test_one_image_that_fails_while_it_is_scaled_is_skipped(zoo, monkeypatch):
    square = decoding.square

    def failing(image, size):
        if image.size == (30, 43):
            raise MemoryError
        return square(image, size)

    monkeypatch.setattr(decoding, "square", failing)
    data = resident.dataset(listing.folder(zoo), 8, 2)
    reason = "more than the memory holds"
    assert data.skipped == (Skipped("dog/03.png", "refused", reason),)


def test_floats_without_a_range_are_refused_with_the_flag(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        values = np.array([[-3.25, 41.5]], np.float32)
        Image.fromarray(values).save(tmp_path / f"{name}/0.tif")
    with pytest.raises(Mistake) as caught:
        resident.dataset(listing.folder(tmp_path), 8, 1)
    assert "32-bit pixels, -3.25 to 41.5, of no known range; --data.range" in str(
        caught.value
    )
