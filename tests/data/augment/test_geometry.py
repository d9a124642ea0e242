import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from scipy.stats import chi2

from ltjax.data.augment import geometry

HEIGHT, WIDTH, CHANNELS, PAD = 8, 6, 3, 2
SIDE = 2 * PAD + 1

crop = jax.jit(geometry.crop, static_argnums=2)
flip = jax.jit(geometry.flip)


@pytest.fixture(scope="module")
def images():
    """Images in which no pixel is 0 and no value occurs twice."""
    generator = np.random.default_rng(0)
    size = HEIGHT * WIDTH * CHANNELS
    pixels = [1 + generator.permutation(255)[:size] for _ in range(600)]
    return np.array(pixels, np.uint8).reshape(-1, HEIGHT, WIDTH, CHANNELS)


def cut(image, top, left):
    """The crop at one offset, pixel by pixel."""
    out = np.zeros_like(image)
    for row in range(HEIGHT):
        for column in range(WIDTH):
            r, c = row + top - PAD, column + left - PAD
            if 0 <= r < HEIGHT and 0 <= c < WIDTH:
                out[row, column] = image[r, c]
    return out


def test_each_crop_is_one_window_of_the_padded_image(images):
    cropped = np.asarray(crop(jax.random.key(0), images, PAD))
    assert cropped.dtype == np.uint8
    assert cropped.shape == images.shape
    observed = np.zeros((SIDE, SIDE))
    for image, found in zip(images, cropped):
        places = [
            (top, left)
            for top in range(SIDE)
            for left in range(SIDE)
            if (cut(image, top, left) == found).all()
        ]
        assert len(places) == 1
        observed[places[0]] += 1
    # Every offset is as likely as every other: Pearson's statistic, fixed key.
    expected = len(images) / SIDE**2
    statistic = ((observed - expected) ** 2 / expected).sum()
    assert statistic < chi2.ppf(1 - 1e-4, SIDE**2 - 1)


def test_crop_without_padding_is_the_identity(images):
    found = crop(jax.random.key(0), images, 0)
    np.testing.assert_array_equal(found, images)
    assert found.dtype == jnp.uint8


def test_each_flip_is_the_image_or_its_mirror(images):
    flipped = np.asarray(flip(jax.random.key(0), images))
    assert flipped.dtype == np.uint8
    mirrored = 0
    for image, found in zip(images, flipped):
        mirror = np.stack([image[:, WIDTH - 1 - w] for w in range(WIDTH)], axis=1)
        is_mirror = (found == mirror).all()
        assert is_mirror != (found == image).all()
        mirrored += is_mirror
    assert abs(mirrored - 300) < 5 * np.sqrt(600 / 4)


def test_flip_twice_is_the_identity(images):
    once = flip(jax.random.key(5), images)
    twice = flip(jax.random.key(5), once)
    np.testing.assert_array_equal(twice, images)
    assert (np.asarray(once) != images).any()


def test_augmentation_is_a_function_of_its_key(images):
    for augmentation in (flip, lambda key, x: crop(key, x, PAD)):
        first, again, other = (
            np.asarray(augmentation(jax.random.key(seed), images)) for seed in (1, 1, 2)
        )
        np.testing.assert_array_equal(first, again)
        assert (first != other).any()


def test_augmentation_inside_a_compiled_scan(images):
    def body(carry, key):
        crop_key, flip_key = jax.random.split(key)
        batch = geometry.flip(flip_key, geometry.crop(crop_key, images[:4], PAD))
        return carry, geometry.normalise(batch, np.zeros(3), np.ones(3))

    keys = jax.random.split(jax.random.key(0), 3)
    out = jax.jit(lambda keys: jax.lax.scan(body, 0, keys)[1])(keys)
    assert out.shape == (3, 4, HEIGHT, WIDTH, CHANNELS)
    assert out.dtype == jnp.float32
    crop_key, flip_key = jax.random.split(jax.random.split(jax.random.key(0), 3)[1])
    eager = geometry.flip(flip_key, geometry.crop(crop_key, images[:4], PAD))
    # float32 division by 255, compiled and not
    np.testing.assert_allclose(out[1], np.asarray(eager) / 255, rtol=2e-7)


def test_moments_match_numpy(images):
    mean, std = geometry.moments(images)
    pixels = images.reshape(-1, CHANNELS).astype(np.float64) / 255
    assert mean.dtype == std.dtype == np.float64
    np.testing.assert_allclose(mean, pixels.mean(0), rtol=1e-12)
    np.testing.assert_allclose(std, pixels.std(0), rtol=1e-12)


def test_moments_of_two_values_are_exact():
    images = np.zeros((4, 2, 2, 2), np.uint8)
    images[:2, ..., 0] = 255
    mean, std = geometry.moments(images)
    np.testing.assert_array_equal(mean, [0.5, 0])
    np.testing.assert_array_equal(std, [0.5, 0])


def test_normalised_training_pixels_have_mean_0_and_deviation_1(images):
    mean, std = geometry.moments(images)
    found = np.asarray(geometry.normalise(images, mean, std), np.float64)
    wanted = (images / 255 - mean) / std
    np.testing.assert_allclose(found, wanted, atol=5e-7)
    np.testing.assert_allclose(found.mean((0, 1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(found.std((0, 1, 2)), 1, atol=1e-6)


def test_a_constant_channel_normalises_to_0():
    images = np.full((2, 3, 3, 1), 77, np.uint8)
    found = geometry.normalise(images, *geometry.moments(images))
    # the mean is rounded to float32 once
    np.testing.assert_allclose(found, np.zeros((2, 3, 3, 1)), atol=1e-7)


def test_rotations_match_pillow(images):
    turn = jax.jit(geometry.rotate, static_argnums=2)
    turned = np.asarray(turn(jax.random.key(0), images, 15))
    assert turned.dtype == np.uint8
    shape = (len(images),)
    angles = jax.random.uniform(jax.random.key(0), shape, minval=-15, maxval=15)
    angles = np.asarray(angles)
    assert angles.min() < -14.5
    assert angles.max() > 14.5
    for image, angle, found in zip(images[:100], angles, turned):
        wanted = Image.fromarray(image).rotate(float(angle), fillcolor=0)
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("size", [4, 5])
def test_each_cutout_is_a_square_around_one_pixel(images, size):
    cut_out = np.asarray(
        jax.jit(geometry.cutout, static_argnums=2)(jax.random.key(0), images, size)
    )
    assert cut_out.dtype == np.uint8
    observed = np.zeros((HEIGHT, WIDTH))
    for image, found in zip(images, cut_out):
        gone = (found == 0).all(-1)  # the images have no 0
        np.testing.assert_array_equal(found, np.where(gone[..., None], 0, image))
        rows, columns = np.flatnonzero(gone.any(1)), np.flatnonzero(gone.any(0))
        places = [
            (y, x)
            for y in range(HEIGHT)
            for x in range(WIDTH)
            if (max(y - 2, 0), min(y + 1, HEIGHT - 1)) == (rows[0], rows[-1])
            and (max(x - 2, 0), min(x + 1, WIDTH - 1)) == (columns[0], columns[-1])
        ]
        assert gone.sum() == len(rows) * len(columns)
        assert len(places) == 1
        observed[places[0]] += 1
    expected = len(images) / observed.size
    statistic = ((observed - expected) ** 2 / expected).sum()
    assert statistic < chi2.ppf(1 - 1e-4, observed.size - 1)
