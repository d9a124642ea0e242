import numpy as np
import pytest
from PIL import Image

from ltjax.data.crops import Crop
from ltjax.data.streamed import Files, Pictures
from ltjax.workdir import examples
from ltjax.workdir.predictions import Predicted


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
@pytest.mark.parametrize("shape", [(8, 8), (300, 120)])
def test_images_are_kept_small_and_grey_or_rgb(tmp_path, shape, channels):
    images = np.random.default_rng(0).integers(0, 256, (9, *shape, channels))
    kinds = {"few": {"surest": np.array([7, 2]), "least sure": np.array([2])}}
    examples.keep(tmp_path, images.astype(np.uint8), kinds)
    found = examples.read(tmp_path)
    assert list(found) == [2, 7]
    for row, image in found.items():
        assert max(image.shape) <= 48
        assert image.shape[2] == (3 if channels >= 3 else 1)
        if shape == (8, 8):
            np.testing.assert_array_equal(image, images[row][..., : image.shape[2]])
    assert (tmp_path / examples.FILE).stat().st_size < 20_000


def test_streamed_images_are_decoded_one_by_one(tmp_path):
    pixels = np.random.default_rng(1).integers(0, 256, (4, 8, 8, 3)).astype(np.uint8)
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    files = Files(tmp_path, tuple(f"{number}.png" for number in range(4)))
    recipe = Crop(8, None, 0, False, 0.0)
    images = Pictures(files, np.arange(4), np.zeros((4, 32), np.uint8), recipe)
    examples.keep(tmp_path, images, {"few": {"surest": np.array([3, 1])}})
    found = examples.read(tmp_path)
    np.testing.assert_array_equal(found[3], pixels[3])
    np.testing.assert_array_equal(found[1], pixels[1])


def test_groups_without_images_have_no_examples():
    labels = np.array([0, 0, 1])
    predicted = Predicted(np.array([0, 1, 1]), np.array([0.5, 0.9, 0.7], np.float32))
    groups = {
        "many": np.array([True, False, False]),
        "few": np.array([False, False, True]),
    }
    found = examples.chosen(labels, predicted, groups)
    assert found.keys() == {"many"}
    assert {kind: rows.tolist() for kind, rows in found["many"].items()} == {
        "surest": [1, 0],
        "surest mistakes": [1],
        "least sure": [0, 1],
    }
