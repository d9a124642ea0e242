"""Streamed images: the same set, order and pixels, whoever decodes them."""

import importlib.util
import pickle

import numpy as np
import pytest
from PIL import Image

from ltjax.data import crops, listing, resident, stream, streamed
from ltjax.mistake import Mistake

pytest.importorskip("grain")

PLAIN = crops.Crop(8)
FULL = crops.Crop(8, 0.08, 0, True, 0.4)
WORDS = (3, 2**32 - 1)


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    """30 images of two classes, of several sizes; two files are broken."""
    place = tmp_path_factory.mktemp("zoo")
    rng = np.random.default_rng(0)
    for at in range(32):
        path = place / ("cat" if at < 20 else "dog") / f"{at:02d}.png"
        path.parent.mkdir(exist_ok=True)
        pixels = rng.integers(0, 256, (9 + at % 5, 12, 3), np.uint8)
        Image.fromarray(pixels).save(path)
    (place / "cat/03.png").write_bytes(b"")
    (place / "dog/25.png").write_text("text")
    return place


def train(zoo, recipe):
    return streamed.of_listing(listing.folder(zoo), recipe, 4).train.image


def read(batches, workers=0):
    with stream.Reader(batches, workers) as reader:
        found = list(reader)
        assert reader.rate() > 0
    return found


ROWS = np.random.default_rng(1).integers(0, 22, (5, 6))


def test_it_is_the_set_that_is_held_in_memory(zoo):
    files = listing.folder(zoo)
    held = resident.dataset(files, 8, 4, seed=3)
    seen = streamed.of_listing(files, PLAIN, 4, seed=3)
    assert seen.skipped == held.skipped
    assert len(seen.skipped) == 2
    assert (seen.name, seen.classes, seen.class_names) == (
        *(held.name, held.classes, held.class_names),
    )
    for ours, wanted in ((seen.train, held.train), (seen.test, held.test)):
        np.testing.assert_array_equal(ours.label, wanted.label)
        assert ours.image.shape == wanted.image.shape
        (whole,) = read(stream.in_order(ours.image, np.arange(len(ours.label)), 100))
        np.testing.assert_array_equal(whole, wanted.image)
        np.testing.assert_array_equal(streamed.sample(ours.image), wanted.image)


def test_strict_refuses(zoo):
    with pytest.raises(Mistake, match=r"cat/03\.png cannot be read: no bytes"):
        streamed.of_listing(listing.folder(zoo), PLAIN, 4, strict=True)


def test_order_and_pixels_are_the_same_from_any_number_of_workers(zoo):
    batches = stream.of_epoch(train(zoo, FULL), ROWS, WORDS)
    direct = [batches[step]["image"] for step in range(5)]
    for workers in (0, 1, 2):
        np.testing.assert_array_equal(read(batches, workers), direct)


def test_an_element_is_a_function_of_row_position_and_words(zoo):
    images = train(zoo, FULL)
    whole = stream.of_epoch(images, ROWS, WORDS)
    rng = np.random.default_rng((*WORDS, 2 * 6 + 4))
    wanted = images.augmented(rng, ROWS[2, 4])
    np.testing.assert_array_equal(whole[2]["image"][4], wanted)
    # Another epoch, another position.
    other = stream.of_epoch(images, ROWS, (4, 5))
    assert (other[2]["image"][4] != wanted).any()
    same_row = np.full_like(ROWS, 7)
    first, second = stream.of_epoch(images, same_row, WORDS)[0]["image"][:2]
    assert (first != second).any()
    # Other images have no part in it: every other row is another one.
    mixed = np.where(np.arange(30).reshape(5, 6) == 16, ROWS, 1)
    found = stream.of_epoch(images, mixed, WORDS)[2]["image"][4]
    np.testing.assert_array_equal(found, wanted)


def test_the_parts_of_hosts_make_up_the_whole(zoo):
    images = train(zoo, FULL)
    whole = stream.of_epoch(images, ROWS, WORDS)
    parts = [
        stream.of_epoch(images, ROWS, WORDS, columns)
        for columns in ([0, 1], [2, 3, 4, 5])
    ]
    for step in range(5):
        joined = np.concatenate([part[step]["image"] for part in parts])
        np.testing.assert_array_equal(joined, whole[step]["image"])


def test_batches_in_order_differ_in_size_by_one_at_most(zoo):
    batches = stream.in_order(train(zoo, PLAIN), np.arange(22), 6)
    assert [len(rows) for rows in batches.rows] == [6, 6, 5, 5]
    assert np.concatenate(batches.rows).tolist() == list(range(22))


def test_batches_across_the_set_are_strides_of_one_pass(zoo):
    images = train(zoo, FULL)
    batches = stream.across(images, 6, WORDS)
    assert [rows.tolist() for rows in batches.rows] == [
        list(range(22))[first::4] for first in range(4)
    ]
    # An image's pixels are those of its row, in whichever batch it is.
    rows = np.arange(22)
    (whole,) = read(stream.in_order(images, rows, 100, WORDS))
    for first, batch in enumerate(read(batches)):
        np.testing.assert_array_equal(batch, whole[first::4])


def test_rows_are_spaced_evenly():
    assert streamed.spaced(10, 4).tolist() == [0, 2, 5, 7]
    assert streamed.spaced(3, 8).tolist() == [0, 1, 2]
    assert streamed.spaced(3).tolist() == [0, 1, 2]


def test_pictures_are_indexed_like_an_array(zoo):
    images = train(zoo, PLAIN)
    some = images[np.array([5, 2])]
    assert some.shape == (2, 8, 8, 3)
    np.testing.assert_array_equal(some.plain(1), images.plain(2))
    np.testing.assert_array_equal(some.digests, images.digests[[5, 2]])


def test_records_travel_without_what_is_open():
    records = streamed.Records("folder", "train")
    records.__dict__["opened"] = open  # stands for what cannot travel
    there = pickle.loads(pickle.dumps(records))
    assert there == records
    assert "opened" not in vars(there)


def test_a_file_that_went_away_is_named(tmp_path):
    for name in "ab":
        for at in range(3):
            path = tmp_path / name / f"{at}.png"
            path.parent.mkdir(exist_ok=True)
            Image.new("RGB", (8, 8), (ord(name), at, 0)).save(path)
    images = streamed.of_listing(listing.folder(tmp_path), PLAIN, 1).train.image
    for path in tmp_path.rglob("*.png"):
        path.unlink()
    with pytest.raises(Mistake, match=r"a/.\.png could be read when the run began"):
        read(stream.of_epoch(images, [[0]], WORDS))


def test_without_grain_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(Mistake, match=r"needs the package grain: pip install 'ltjax\["):
        stream.check_installed()
