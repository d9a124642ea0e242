"""Images of any size and colour become those of a run, from files and arrays alike."""

import io

import numpy as np
import pytest
from PIL import Image

from ltjax.data import crops, decoding
from ltjax.data.shape import Shape
from ltjax.mistake import Mistake


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def from_file(image, shape, kind="png"):
    """The array, less an axis of one channel, through a file."""
    data = io.BytesIO()
    Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image).save(
        data, kind
    )
    with decoding.opened(data.getvalue(), shape.least_side()) as seen:
        return shape.of_picture(seen)


@pytest.mark.parametrize("found", [1, 3, 4])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(8, 8), (20, 13), (5, 9)])
@pytest.mark.parametrize("wanted", [(8, 8), (6, 10)])
def test_an_array_becomes_what_its_file_becomes(found, channels, size, wanted):
    image, shape = noise(*size, found), Shape(*wanted, channels)
    one, other = shape.of_array(image), from_file(image, shape)
    np.testing.assert_array_equal(one.image, other.image)
    assert one.image.shape == (*wanted, channels)
    assert one.image.dtype == np.uint8
    assert one.resized == other.resized == (size != wanted)
    # Alpha is a channel of an array, and no colour of a file.
    assert one.recoloured == (found != channels)
    assert other.recoloured == ((found == 1) != (channels == 1))


def test_what_fits_is_left_alone():
    for channels in (1, 2, 3, 5):
        image = noise(8, 6, channels)
        seen = Shape(8, 6, channels).of_array(image)
        np.testing.assert_array_equal(seen.image, image)
        assert not seen.resized
        assert not seen.recoloured


def test_grey_is_the_luma_of_the_standard():
    image = noise(8, 8, 3)
    found = Shape(8, 8, 1).of_array(image).image[..., 0]
    wanted = image @ np.array([0.299, 0.587, 0.114])
    # Pillow multiplies with 16 bits, and rounds.
    assert np.abs(found - wanted).max() <= 0.51
    grey = noise(8, 8, 1)
    np.testing.assert_array_equal(
        Shape(8, 8, 3).of_array(grey).image, np.repeat(grey, 3, -1)
    )


def test_as_a_folder_and_a_stream_are_trained_on():
    image = noise(40, 60, 3)
    whole = Image.fromarray(image)
    np.testing.assert_array_equal(
        from_file(image, Shape(16, 16, 3)).image, decoding.square(whole, 16)
    )
    np.testing.assert_array_equal(
        from_file(image, Shape(16, 16, 3, 0.08)).image,
        crops.plain(whole, crops.Crop(16, 0.08)),
    )


def test_a_shape_that_is_no_square_is_covered_from_the_middle():
    image = np.zeros((40, 90, 3), np.uint8)
    image[:, 15:75] = 200  # the middle of the ratio 3 : 2
    found = decoding.fitted(Image.fromarray(image), 10, 15)
    assert found.shape == (10, 15, 3)
    assert (found[:, 1:-1] == 200).all()
    assert (decoding.fitted(Image.fromarray(image), 10, 21)[:, 0] < 10).all()
    tall = decoding.fitted(Image.fromarray(image.transpose(1, 0, 2)), 15, 10)
    np.testing.assert_array_equal(tall, found.transpose(1, 0, 2))


def test_channels_that_cannot_be_made():
    for found in (1, 3, 4):
        Shape(8, 8, 3).check("a.npz", found)
    Shape(8, 8, 5).check("a.npz", 5)
    with pytest.raises(
        Mistake, match=r"a.npz has images of 2 channels, the run's have 3"
    ):
        Shape(8, 8, 3).check("a.npz", 2)
    with pytest.raises(Mistake, match="the run's have 4"):
        Shape(8, 8, 4).check("a.npz", 3)
