import pickle
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from ltjax.data import longtail, sources
from ltjax.mistake import Mistake

IMAGE = np.random.default_rng(0).integers(0, 256, (6, 4, 5, 3), dtype=np.uint8)
LABEL = np.array([0, 1, 2, 0, 1, 2])


def write(path, image=IMAGE, label=LABEL, **others):
    np.savez_compressed(path, image=image, label=label, **others)
    return path


@pytest.fixture
def good(tmp_path):
    return write(tmp_path / "good.npz")


def refused(call):
    """The one line in which `call` is refused."""
    with pytest.raises(Mistake) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_digits_are_the_embedded_set():
    from sklearn.datasets import load_digits

    bunch = load_digits()
    data = sources.digits()
    assert (data.name, data.classes) == ("digits", 10)
    assert data.train.image.shape == (1057, 8, 8, 1)
    assert data.test.image.shape == (740, 8, 8, 1)
    assert data.train.image.dtype == data.test.image.dtype == np.uint8
    assert data.train.label.dtype == data.test.label.dtype == np.int32
    for digit in range(10):
        whole = bunch.images[bunch.target == digit]
        train = data.train.image[data.train.label == digit][..., 0]
        test = data.test.image[data.test.label == digit][..., 0]
        assert len(test) == 74
        # 0..16 comes back from 0..255, and the last 74 of each class are held out
        both = np.concatenate([train, test]).astype(np.float64) * 16 / 255
        np.testing.assert_allclose(both, whole, atol=0.04)
    assert data.train.image.max() == 255


@pytest.mark.parametrize("test_per_class", [0, -1, 174, 10**6])
def test_digits_refuses_a_test_set_it_cannot_give(test_per_class):
    message = refused(lambda: sources.digits(test_per_class))
    assert f"test_per_class is {test_per_class}, wanted 1..173" in message


def test_digits_leaves_one_training_image():
    data = sources.digits(173)
    assert np.bincount(data.train.label).min() == 1


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.uint64, ">i4"])
def test_npz_returns_what_was_written(tmp_path, dtype):
    label = LABEL.astype(dtype)
    train = write(tmp_path / "own_train.npz", label=label, index=np.arange(6))
    test = write(tmp_path / "test.npz", image=IMAGE[:2], label=label[:2])
    data = sources.npz(train, test)
    assert (data.name, data.classes) == ("own", 3)
    np.testing.assert_array_equal(data.train.image, IMAGE)
    np.testing.assert_array_equal(data.train.label, LABEL)
    np.testing.assert_array_equal(data.test.image, IMAGE[:2])
    np.testing.assert_array_equal(data.test.label, LABEL[:2])
    assert data.train.label.dtype == data.test.label.dtype == np.int32


def test_npz_without_a_channel_axis_gets_one(tmp_path, good):
    flat = write(tmp_path / "flat.npz", image=IMAGE[..., 0])
    data = sources.npz(str(flat), str(flat))
    assert data.train.image.shape == (6, 4, 5, 1)
    message = refused(lambda: sources.npz(flat, good))
    assert "(4, 5, 1)" in message
    assert "(4, 5, 3)" in message


def test_npz_classes_may_be_absent_from_either_split(tmp_path, good):
    few = write(tmp_path / "few.npz", image=IMAGE[:2], label=np.array([4, 4]))
    assert sources.npz(good, few).classes == 5
    assert sources.npz(few, good).classes == 5
    assert sources.npz(few, good, classes=7).classes == 7


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"image": IMAGE / 255}, ["'image' is float64", "uint8"]),
        ({"image": IMAGE.astype(np.int64)}, ["'image' is int64", "uint8"]),
        ({"image": IMAGE > 9}, ["'image' is bool", "uint8"]),
        ({"image": IMAGE.reshape(6, -1)}, ["(6, 60)", "[N, H, W, ch]"]),
        ({"image": IMAGE[None]}, ["(1, 6, 4, 5, 3)", "[N, H, W, ch]"]),
        ({"image": np.uint8(3)}, ["shape ()", "[N, H, W, ch]"]),
        ({"image": IMAGE[:0], "label": LABEL[:0]}, ["(0, 4, 5, 3)", "some pixels"]),
        ({"image": IMAGE[:, :0]}, ["(6, 0, 5, 3)", "some pixels"]),
        (
            {"image": np.zeros((6, 3, 8, 8), np.uint8)},
            ["(6, 3, 8, 8)", "channels first", "channels last"],
        ),
        ({"label": LABEL[:5]}, ["6 images but 5 labels"]),
        ({"label": LABEL.astype(np.float32)}, ["'label' is float32", "integers"]),
        ({"label": LABEL == 1}, ["'label' is bool", "integers"]),
        ({"label": LABEL.astype(str)}, ["'label' is <U21", "integers"]),
        ({"label": LABEL[:, None]}, ["shape (6, 1)", "integers [N]"]),
        ({"label": LABEL - 1}, ["'label' is -1 in row 0", "wanted 0..999999"]),
        (
            {"label": np.uint64(2**63) + LABEL.astype(np.uint64)},
            ["'label' is 9223372036854775808 in row 0", "wanted 0..999999"],
        ),
        (
            {"label": np.array([{}] * 6, object)},
            ["cannot be read", "Object arrays", "plain arrays"],
        ),
        (
            {"image": np.array([None] * 6, object)},
            ["cannot be read", "Object arrays", "plain arrays"],
        ),
    ],
)
def test_npz_refuses_arrays(tmp_path, good, members, words):
    bad = write(tmp_path / "bad.npz", **members)
    for paths in ((bad, good), (good, bad)):
        message = refused(lambda paths=paths: sources.npz(*paths))
        assert message.startswith(str(bad))
        for word in words:
            assert word in message


def test_npz_refuses_labels_outside_the_classes_given(tmp_path, good):
    other = write(tmp_path / "other.npz", label=np.array([0, 1, 2, 3, 0, 1]))
    message = refused(lambda: sources.npz(good, other, classes=3))
    assert message == f"{other}: 'label' is 3 in row 3, wanted 0..2"
    message = refused(lambda: sources.npz(good, other, classes=0))
    assert message == "classes is 0, wanted 1..1000000"


def test_npz_refuses_two_image_shapes(tmp_path, good):
    other = write(tmp_path / "other.npz", image=IMAGE[:, :3])
    message = refused(lambda: sources.npz(good, other))
    assert f"{good} has images of shape (4, 5, 3)" in message
    assert f"{other} of shape (3, 5, 3)" in message


def test_npz_reads_the_ranks_of_a_draw_and_checks_them(tmp_path, good):
    path = tmp_path / "ranked.npz"
    rank = np.arange(len(LABEL))[::-1]
    np.savez(path, image=IMAGE, label=LABEL, rank=rank)
    data = sources.npz(path, path)
    np.testing.assert_array_equal(data.train.rank, rank)
    assert sources.npz(good, path).train.rank is None
    for wrong, words in (
        (rank[1:], f"int64 of shape ({len(LABEL) - 1},)"),
        (rank - 1.5, "float64"),
        (rank - 1, "0 or more"),
        (np.zeros_like(rank), "'rank' is 0 twice in class"),
    ):
        np.savez(path, image=IMAGE, label=np.zeros_like(LABEL), rank=wrong)
        assert words in refused(lambda: sources.npz(path, path))


def test_npz_names_the_nearest_file(tmp_path, good):
    message = refused(lambda: sources.npz(tmp_path / "god.npz", good))
    assert message == f"{tmp_path / 'god.npz'} does not exist; did you mean good.npz?"
    message = refused(lambda: sources.npz(good, tmp_path / "else"))
    assert message == f"{tmp_path / 'else'} does not exist"
    message = refused(lambda: sources.npz(tmp_path / "no" / "a.npz", good))
    assert message.endswith(f"does not exist, nor does the folder {tmp_path / 'no'}")
    message = refused(lambda: sources.npz(tmp_path, good))
    assert message == f"{tmp_path} is a folder, wanted an .npz file"


def test_npz_names_the_members_there_are(tmp_path, good):
    path = tmp_path / "packed.npz"
    np.savez(path, d=IMAGE, label=LABEL)
    message = refused(lambda: sources.npz(path, good))
    assert message == f"{path} has no member 'image'; it has 'd', 'label'"
    np.savez(path, image=IMAGE)
    message = refused(lambda: sources.npz(path, good))
    assert message == f"{path} has no member 'label'; it has 'image'"
    with zipfile.ZipFile(path, "w"):
        pass
    message = refused(lambda: sources.npz(path, good))
    assert message == f"{path} has no member 'image'; it has none"


@pytest.mark.parametrize(
    "content",
    [b"", b"image,label\n", pickle.dumps({"image": 1}), b"\x93NUMPY\x01\x00"],
    ids=["empty", "text", "pickle", "npy"],
)
def test_npz_refuses_what_is_not_an_npz(tmp_path, good, content):
    path = tmp_path / "other.npz"
    path.write_bytes(content)
    message = refused(lambda: sources.npz(path, good))
    assert message.startswith(f"{path} is not an .npz file")


def test_npz_refuses_every_damaged_file(tmp_path):
    """Cut short or changed at any place: the arrays that were written, or one line."""
    path = write(tmp_path / "whole.npz")
    whole = path.read_bytes()
    damaged = tmp_path / "damaged.npz"
    for length in range(0, len(whole), 7):
        damaged.write_bytes(whole[:length])
        message = refused(lambda: sources.npz(damaged, path))
        assert message.startswith(str(damaged))
    refusals = []
    for place in range(0, len(whole), 3):
        changed = bytearray(whole)
        changed[place] ^= 0xFF
        damaged.write_bytes(changed)
        try:
            data = sources.npz(damaged, path)
        except Mistake as mistake:
            refusals.append(str(mistake))
        else:  # a byte that carries no content, such as a date
            np.testing.assert_array_equal(data.train.image, IMAGE)
            np.testing.assert_array_equal(data.train.label, LABEL)
    assert len(refusals) > 0.7 * len(whole) / 3
    assert all(line.startswith(str(damaged)) for line in refusals)
    assert not any("\n" in line for line in refusals)


def test_reading_needs_neither_tfds_nor_jax(good):
    """TFDS is imported only when it is used, and NumPy sources need no device."""
    program = (
        "import sys\n"
        "from ltjax.data import longtail, sources\n"
        f"sources.npz({str(good)!r}, {str(good)!r})\n"
        "sources.digits()\n"
        "print({'jax', 'tensorflow', 'tensorflow_datasets'} & set(sys.modules))\n"
    )
    out = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True
    )
    assert out.stdout == "set()\n", out.stderr


def test_npz_without_a_test_file_is_split(tmp_path):
    image = np.random.default_rng(1).integers(0, 256, (30, 4, 4, 1), dtype=np.uint8)
    image[3] = image[4]
    label = np.arange(30) % 2
    path = write(tmp_path / "a.npz", image=image, label=label)
    data = sources.npz(path, None, None, 5)
    assert np.bincount(data.test.label).tolist() == [5, 5]
    assert len(data.train.label) == 20
    pixels = [row.tobytes() for split in (data.train, data.test) for row in split.image]
    assert sorted(pixels) == sorted(row.tobytes() for row in image)
    # Equal images are not torn apart.
    assert image[3].tobytes() not in pixels[20:]
    few = write(tmp_path / "few.npz", image=image[:4], label=label[:4])
    assert "leaves no test images" in refused(lambda: sources.npz(few, None, None, 5))


def test_what_is_known_beside_images_comes_with_them(tmp_path):
    meta = np.arange(12.0).reshape(6, 2)
    train, test = tmp_path / "a_train.npz", tmp_path / "a_test.npz"
    image, label = np.zeros((6, 4, 4, 1), np.uint8), np.array([0, 0, 0, 1, 1, 1])
    for path in (train, test):
        np.savez(path, image=image, label=label, meta=meta)
    data = sources.npz(train, test)
    np.testing.assert_array_equal(data.train.meta, np.float32(meta), strict=True)
    kept = longtail.tailed(data.train, 2, 3.0)
    assert kept.meta.shape == (4, 2)
    assert set(map(tuple, kept.meta)) <= set(map(tuple, np.float32(meta)))
    np.savez(test, image=image, label=label)
    with pytest.raises(
        Mistake, match=r"meta' of shape \(6, 2\), .* of shape None; want"
    ):
        sources.npz(train, test)
    np.savez(test, image=image, label=label, meta=meta[:5])
    with pytest.raises(
        Mistake, match=r"'meta' is float64 of shape \(5, 2\), wanted nu"
    ):
        sources.npz(train, test)
    np.savez(test, image=image, label=label, meta=np.full((6, 2), np.nan))
    with pytest.raises(Mistake, match="'meta' is not finite in row 0, in float32"):
        sources.npz(train, test)
