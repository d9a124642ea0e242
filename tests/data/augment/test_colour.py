import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from ltjax.data.augment import colour


def draw(kind):
    """Images [20, 27, ch] whose histograms differ in kind."""
    generator = np.random.default_rng(0)
    noise = generator.integers(0, 256, (20, 27, 3), np.uint8)
    if kind == "soft":
        small = Image.fromarray(noise[:4, :5])
        return np.asarray(small.resize((27, 20), Image.Resampling.BICUBIC))
    return {
        "noise": noise,
        "narrow": noise // 5 + 60,
        "two": np.where(noise > 128, 200, 30).astype(np.uint8),
        "constant": np.full_like(noise, 77),
        "grey": noise[..., :1] // 2 + 9,
    }[kind]


every_image = pytest.mark.parametrize(
    "image", ["noise", "soft", "narrow", "two", "constant", "grey"], indirect=True
)


@pytest.fixture
def image(request):
    return draw(request.param)


def picture(image):
    return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)


def assert_like(found, wanted, largest=0):
    assert found.dtype == np.uint8
    wanted = np.asarray(wanted, int).reshape(found.shape)
    assert abs(np.asarray(found, int) - wanted).max() <= largest


@functools.partial(jax.jit, static_argnums=0)
def looked_up(table, image, *value):
    return colour.look_up(image, table(image, *value))


@functools.partial(jax.jit, static_argnums=0)
def blended(degenerate, image, factor):
    return colour.blend(degenerate(image), image, factor)


@every_image
def test_tables_match_pillow(image):
    peer = picture(image)
    assert_like(looked_up(colour.invert, image), ImageOps.invert(peer))
    assert_like(looked_up(colour.equalize, image), ImageOps.equalize(peer))
    # Pillow's float64 is a hair below a whole number at times, and cut to the next.
    wanted = ImageOps.autocontrast(peer)
    assert_like(looked_up(colour.autocontrast, image), wanted, largest=1)
    for bits in (8, 5, 4, 1):
        found = looked_up(colour.posterize, image, bits)
        assert_like(found, ImageOps.posterize(peer, bits))
    for threshold in (0, 28.4, 128, 199.1, 256):
        found = looked_up(colour.solarize, image, threshold)
        assert_like(found, ImageOps.solarize(peer, threshold))


def test_autocontrast_reaches_both_ends():
    image = draw("narrow")
    found = looked_up(colour.autocontrast, image)
    np.testing.assert_array_equal(found.min((0, 1)), 3 * [0])
    np.testing.assert_array_equal(found.max((0, 1)), 3 * [255])


def test_no_bits_kept_is_black():
    found = looked_up(colour.posterize, draw("noise"), 0)
    np.testing.assert_array_equal(found, np.zeros_like(found))


def test_solarize_add_matches_numpy():
    """Pillow has none."""
    image = draw("noise").astype(int)
    for amount in (0, 60, 110, 200):
        wanted = np.where(image < 128, np.minimum(image + amount, 255), image)
        assert_like(looked_up(colour.solarize_add, np.uint8(image), amount), wanted)


@every_image
@pytest.mark.parametrize(
    ("degenerate", "peer"),
    [
        (colour.grey, ImageEnhance.Color),
        (colour.flat, ImageEnhance.Contrast),
        (colour.black, ImageEnhance.Brightness),
        (colour.smooth, ImageEnhance.Sharpness),
    ],
    ids=["grey", "flat", "black", "smooth"],
)
def test_blends_match_pillow(image, degenerate, peer):
    for factor in (0.0, 0.1, 0.6, 1.0, 1.35, 1.9):
        found = blended(degenerate, image, factor)
        wanted = np.asarray(peer(picture(image)).enhance(factor)).reshape(found.shape)
        # Rounding down, of whole numbers too: the last bit of float32 decides there.
        assert_like(found, wanted, largest=1)
        assert (found != wanted).mean() < 0.05


def test_a_blend_may_be_traced_in_a_batch():
    images = np.stack([draw("noise"), draw("soft")])
    factors = jnp.array([0.3, 1.7])
    found = jax.vmap(functools.partial(blended, colour.flat))(images, factors)
    for image, factor, one in zip(images, factors, found):
        np.testing.assert_array_equal(one, blended(colour.flat, image, factor))
