"""What stage one does to images, step by step."""

import jax
import numpy as np

from ltjax import views
from ltjax.data import augment, policies

IMAGES = np.random.default_rng(0).integers(1, 256, (9, 8, 8, 3), np.uint8)


def key():
    return jax.random.key(3)


def test_crops_and_flips_are_those_they_were_before_there_was_more():
    crop_key, flip_key = jax.random.split(key())
    wanted = augment.flip(flip_key, augment.crop(crop_key, IMAGES, 2))
    found = views.augmentation(2, True)(key(), IMAGES)
    np.testing.assert_array_equal(found, wanted)


def test_further_operations_follow_in_their_order():
    """Each shows after those before it, whose outcome it leaves alone."""
    bare = views.augmentation(0, False)(key(), IMAGES)
    np.testing.assert_array_equal(bare, IMAGES)
    more = jax.random.split(jax.random.fold_in(key(), 1), 3)
    turned = augment.rotate(jax.random.clone(more[0]), IMAGES, 20.0)
    found = views.augmentation(0, False, rotate=20.0)(key(), IMAGES)
    np.testing.assert_array_equal(found, turned)
    assert (np.asarray(found) != IMAGES).any()
    cut = augment.cutout(jax.random.clone(more[2]), turned, 4)
    found = views.augmentation(0, False, rotate=20.0, cutout=4)(key(), IMAGES)
    np.testing.assert_array_equal(found, cut)
    changed = jax.jit(policies.autoaugment)(jax.random.clone(more[1]), IMAGES)
    found = jax.jit(views.augmentation(0, False, policy="autoaugment"))(key(), IMAGES)
    np.testing.assert_array_equal(found, changed)


def test_two_views_are_the_weak_ones_and_then_the_strong_ones():
    weak, strong = views.augmentation(2, True), views.augmentation(0, False)
    found = views.two_views(weak, strong)(key(), IMAGES)
    assert found.shape == (18, 8, 8, 3)
    first, _ = jax.random.split(key())
    np.testing.assert_array_equal(found[:9], weak(first, IMAGES))
    np.testing.assert_array_equal(found[9:], IMAGES)
