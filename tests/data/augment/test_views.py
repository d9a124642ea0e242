"""What stage one does to images, step by step."""

import jax
import numpy as np
import pytest

from ltjax.config import Augment
from ltjax.data.augment import boxes, geometry, policies, views

pytestmark = pytest.mark.usefixtures("compiled_once")

IMAGES = np.random.default_rng(0).integers(1, 256, (9, 8, 8, 3), np.uint8)


def key():
    return jax.random.key(3)


def test_crops_and_flips_are_those_they_were_before_there_was_more():
    crop_key, flip_key = jax.random.split(key())
    wanted = geometry.flip(flip_key, geometry.crop(crop_key, IMAGES, 2))
    found = views.augmentation(2, True)(key(), IMAGES)
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("policy", [None, "autoaugment", "randaugment"])
def test_further_operations_follow_in_their_order(monkeypatch, policy):
    """Rotation, policy, squares; each with a key of its own."""
    monkeypatch.setattr(policies, "autoaugment", lambda key, x: x // 2)
    monkeypatch.setattr(policies, "randaugment", lambda key, x, fill: x // 3 + fill)
    rotate_key, _, cutout_key = jax.random.split(jax.random.fold_in(key(), 1), 3)
    wanted = geometry.rotate(rotate_key, IMAGES, 20.0)
    assert (np.asarray(wanted) != IMAGES).any()
    if policy is not None:
        wanted = wanted // 2 if policy == "autoaugment" else wanted // 3 + 128
    wanted = geometry.cutout(cutout_key, wanted, 4)
    found = views.augmentation(0, False, 20.0, policy, 4)(key(), IMAGES)
    np.testing.assert_array_equal(found, wanted)


def test_boxes_come_first_and_last(monkeypatch):
    monkeypatch.setattr(boxes, "zoom", lambda key, x, area, size: x // 2)
    monkeypatch.setattr(boxes, "erase", lambda key, x, chance: x + 1)
    monkeypatch.setattr(policies, "randaugment_increasing", lambda key, x, fill: 3 * x)
    wanted = 3 * (IMAGES // 2) + 1
    given = views.Boxes(zoom=0.5, erase=0.1)
    view = views.augmentation(0, False, 0, "randaugment_increasing", 0, given)
    np.testing.assert_array_equal(view(key(), IMAGES), wanted)


def test_streamed_images_come_cropped_and_get_the_rest_here():
    record = Augment(crop_area=0.1, flip=True, cutout=4)
    found = record.make(streamed=True)
    _, _, cutout_key = jax.random.split(jax.random.fold_in(key(), 1), 3)
    wanted = geometry.cutout(cutout_key, IMAGES, 4)
    np.testing.assert_array_equal(found["full"](key(), IMAGES), wanted)
    np.testing.assert_array_equal(found["weak"](key(), IMAGES), IMAGES)


def test_without_any_images_stay_as_they_are():
    np.testing.assert_array_equal(views.augmentation(0, False)(key(), IMAGES), IMAGES)


def test_two_views_are_the_weak_ones_and_then_the_strong_ones():
    weak, strong = views.augmentation(2, True), views.augmentation(0, False)
    found = views.joined([weak, strong])(key(), IMAGES)
    assert found.shape == (18, 8, 8, 3)
    first, _ = jax.random.split(key())
    np.testing.assert_array_equal(found[:9], weak(first, IMAGES))
    np.testing.assert_array_equal(found[9:], IMAGES)
