"""An `.npz` read image by image, and what is not one."""

import zipfile

import numpy as np
import pytest

from ltjax.data import archive
from ltjax.mistake import Mistake

IMAGES = np.random.default_rng(0).integers(0, 256, (7, 6, 5, 3), dtype=np.uint8)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("images", [IMAGES, IMAGES[..., 0]], ids=["colour", "grey"])
def test_the_images_come_back(tmp_path, save, images):
    path = tmp_path / "a.npz"
    save(path, label=np.arange(7), image=images)
    wanted = images.reshape(7, 6, 5, -1)
    assert archive.shape(path) == wanted.shape
    np.testing.assert_array_equal(np.stack(list(archive.images(path))), wanted)


def refused(path):
    with pytest.raises(Mistake) as caught:
        list(archive.images(path))
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


@pytest.mark.parametrize(
    ("image", "says"),
    [
        (IMAGES.astype(float), "'image' is float64, wanted uint8"),
        (IMAGES[0, 0], r"'image' has shape (5, 3), wanted [N, H, W, ch] or"),
        (IMAGES[:0], "wanted some pixels"),
        (np.zeros((2, 3, 32, 32), np.uint8), "channels first"),
        (np.array([{}, 1]), "'image' is object, wanted uint8"),
        (np.asfortranarray(IMAGES), "stored in Fortran's order"),
    ],
)
def test_arrays_that_are_no_images(tmp_path, image, says):
    path = tmp_path / "a.npz"
    np.savez(path, image=image)
    assert says in refused(path)


def test_files_that_are_no_arrays(tmp_path):
    path = tmp_path / "a.npz"
    path.write_text("image")
    assert "is not an .npz file" in refused(path)
    np.savez(path, label=np.arange(3), pixels=IMAGES)
    assert "has no member 'image'; it has label, pixels" in refused(path)
    for content in (b"no array", b"\x93NUMPY\x09\x00" + bytes(99)):
        with zipfile.ZipFile(path, "w") as whole:
            whole.writestr("image.npy", content)
        assert "cannot be read" in refused(path)


def test_damage_is_found_at_the_latest_at_the_end(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, image=IMAGES)
    whole = bytearray(path.read_bytes())
    path.write_bytes(whole[:300])
    assert "is not an .npz file" in refused(path)
    whole[400] ^= 0xFF
    path.write_bytes(whole)
    assert "Bad CRC-32" in refused(path)


def test_a_header_that_tells_of_more_than_there_is(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, image=IMAGES)
    with zipfile.ZipFile(path) as whole:
        member = whole.read("image.npy")
    for told, says in (
        (b"(8, 6, 5, 3)", "ends within image 7 of 8"),
        (b"(7, 99999, 99999, 3)", "an image has at most 80,000,000 pixels"),
    ):
        changed = member.replace(b"(7, 6, 5, 3)", told)
        extra = len(changed) - len(member)
        changed = changed.replace(b" " * (extra + 1) + b"\n", b" \n", 1)
        with zipfile.ZipFile(path, "w") as whole:
            whole.writestr("image.npy", changed)
        assert says in refused(path)
