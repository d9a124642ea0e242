"""Boxes of images that are seen from close by, or erased."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from ltjax.data.augment import boxes

pytestmark = pytest.mark.usefixtures("compiled_once")

SIDE, DRAWS = 20, 2000
RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 256, (SIDE, SIDE, 3), np.uint8)
# The place of each pixel: a row and a column, in steps that rounding does not hide.
PLACES = np.stack(
    [*np.meshgrid(*2 * (10 * np.arange(SIDE),), indexing="ij"), 0 * IMAGE[..., 0]], -1
).astype(np.uint8)
zoom = jax.jit(boxes.zoom, static_argnames="size")
erase = jax.jit(boxes.erase)


def many(image, count=DRAWS):
    return jnp.broadcast_to(jnp.asarray(image), (count, *image.shape))


@pytest.mark.parametrize("size", [None, 8, 33])
def test_a_zoom_is_a_crop_that_pillow_scales(size):
    """For each image some box has these pixels, to a grey level."""
    found = np.asarray(zoom(jax.random.key(0), many(IMAGE, 12), 0.3, size))
    new = size or SIDE
    assert found.shape == (12, new, new, 3)
    assert found.dtype == np.uint8
    picture = Image.fromarray(IMAGE)
    candidates = {}
    for height in range(9, SIDE + 1):
        for width in range(9, SIDE + 1):
            if not 0.7 < width / height < 1.45:
                continue
            for top in range(SIDE - height + 1):
                for left in range(SIDE - width + 1):
                    box = left, top, left + width, top + height
                    candidates[box] = None
    corners = found[:, [0, 0, -1, -1], [0, -1, 0, -1]].astype(int)
    for image, corner in zip(found.astype(int), corners):
        # Scaled as a whole only where the corners are right.
        best = 255
        for box in candidates:
            ends = np.asarray(
                picture.crop(box).resize((new, new), Image.Resampling.BICUBIC), int
            )
            if abs(ends[[0, 0, -1, -1], [0, -1, 0, -1]] - corner).max() <= 2:
                best = min(best, abs(ends - image).max())
        assert best <= 2


def test_zooms_have_the_shares_and_shapes_that_were_asked_for():
    found = np.asarray(zoom(jax.random.key(1), many(PLACES), 0.25, SIDE)).astype(float)
    # A line through the middle tells how much of the image is seen.
    middle = slice(5, 15)
    slopes = [
        np.polyfit(np.arange(5, 15), part, 1)[0] / 10
        for part in np.concatenate([found[:, middle, 10, 0], found[:, 10, middle, 1]])
    ]
    height, width = np.reshape(slopes, (2, -1))
    area = height * width
    assert 0.2 < area.min() < 0.3
    assert area.max() > 0.9
    # Uniform, but for what does not fit in its ten trials: mostly the largest.
    assert abs(area.mean() - 0.6) < 0.05
    # Sides are whole pixels: 9 x 12 are 9.5 x 11.5 at the narrowest.
    assert 0.66 < (width / height).min() < 0.8
    assert 1.25 < (width / height).max() < 1.52
    assert abs(np.log(width / height).mean()) < 0.02


def test_a_zoom_of_everything_is_the_image():
    square = np.asarray(zoom(jax.random.key(2), many(IMAGE, 50), 1.0))
    same = (square == IMAGE).all((1, 2, 3))
    assert same.any()


def test_erased_boxes():
    black = np.zeros((SIDE, SIDE, 3), np.uint8)
    found = np.asarray(erase(jax.random.key(0), many(black), 0.25))
    changed = (found > 0).any(-1)
    erased = changed.any((1, 2))
    assert abs(erased.mean() - 0.25) < 4 * np.sqrt(0.25 * 0.75 / DRAWS)
    shares, ratios = [], []
    for one in changed[erased]:
        rows, columns = (np.flatnonzero(one.any(axis)) for axis in (1, 0))
        height, width = (x[-1] - x[0] + 1 for x in (rows, columns))
        shares.append(height * width / SIDE**2)
        ratios.append(height / width)
        # All of the box is noise, whose pixels are seldom black.
        assert one.sum() > 0.8 * height * width
    assert 0.01 < min(shares) < 0.05
    assert 0.3 < max(shares) < 0.36
    assert abs(np.mean(shares) - (0.02 + 1 / 3) / 2) < 0.03
    assert min(ratios) < 0.45
    assert max(ratios) > 2.2


def test_noise_has_the_moments_of_imagenet():
    grey = np.full((SIDE, SIDE, 3), 7, np.uint8)
    found = np.asarray(erase(jax.random.key(3), many(grey), 1.0)).astype(float)
    noise = found[(found != 7).any(-1)]
    np.testing.assert_allclose(
        noise.mean(0), 255 * np.array([0.485, 0.456, 0.406]), atol=2
    )
    # A little less than what it was drawn with: it is cut off at black and white.
    assert (noise.std(0) < 255 * np.array([0.229, 0.224, 0.225])).all()
    assert (noise.std(0) > 0.9 * 255 * np.array([0.229, 0.224, 0.225])).all()


def test_other_channels_have_grey_noise():
    images = np.zeros((40, 9, 9, 1), np.uint8)
    found = np.asarray(erase(jax.random.key(0), images, 1.0))
    assert found.shape == images.shape
    assert (found > 0).any()


def test_nothing_is_erased_with_no_chance():
    np.testing.assert_array_equal(
        erase(jax.random.key(0), many(IMAGE, 9), 0.0), many(IMAGE, 9)
    )
