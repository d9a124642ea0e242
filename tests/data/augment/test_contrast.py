"""SimCLR's view of an image, against the standard library's colours and Pillow's."""

import colorsys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ltjax.data.augment import contrast

pytestmark = pytest.mark.usefixtures("compiled_once")

IMAGES = np.random.default_rng(0).integers(0, 256, (300, 6, 6, 3), np.uint8)


def test_hues_move_as_in_the_standard_library():
    turns = np.linspace(-0.5, 0.5, 5).astype(np.float32)
    found = np.asarray(contrast.hue(turns, jnp.asarray(IMAGES[:5])))
    for turn, image, moved in zip(turns, IMAGES, found):
        for pixel, other in zip(image.reshape(-1, 3), moved.reshape(-1, 3)):
            h, s, v = colorsys.rgb_to_hsv(*(pixel / 255))
            wanted = np.array(colorsys.hsv_to_rgb((h + turn) % 1, s, v)) * 255
            np.testing.assert_allclose(other, wanted, atol=0.51)


def test_grey_has_no_hue():
    grey = np.broadcast_to(IMAGES[..., :1], IMAGES.shape)
    turns = np.full(len(grey), 0.3, np.float32)
    np.testing.assert_array_equal(contrast.hue(turns, grey), grey)


def test_jitter_changes_light_within_its_range():
    plain = np.full((200, 4, 4, 3), 100, np.uint8)
    found = np.asarray(contrast.jitter(jax.random.key(0), plain))[:, 0, 0, 0]
    assert found.min() in range(59, 66)
    assert found.max() in range(135, 141)
    assert abs(found.mean() - 100) < 5


def test_the_share_of_grey_images():
    found = np.asarray(jax.jit(contrast.view)(jax.random.key(0), IMAGES)).astype(int)
    grey = (np.ptp(found, axis=-1) == 0).all((1, 2)).mean()
    assert abs(grey - 0.2) < 4 * np.sqrt(0.2 * 0.8 / len(IMAGES))
    assert found.shape == IMAGES.shape


def test_images_of_one_channel():
    found = contrast.view(jax.random.key(0), IMAGES[:8, ..., :1])
    assert found.shape == (8, 6, 6, 1)
