"""Crops and colours of one picture, against their equations written again."""

import math

import numpy as np
import pytest
from PIL import Image

from ltjax.data import crops, decoding
from ltjax.data.crops import Crop

RNG = np.random.default_rng(0)


def painted(width, height, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(pixels)


class Told:
    """A generator that says what it is told to."""

    def __init__(self, uniforms=None, factors=None, order=None):
        self.uniforms, self.factors, self.order = uniforms, factors, order

    def random(self, shape):
        assert shape == self.uniforms.shape
        return self.uniforms

    def uniform(self, low, high, count):
        assert (count, low, high) == (3, 0.6, 1.4)
        return self.factors

    def permutation(self, count):
        return self.order


def reference_box(uniforms, width, height, area):
    """One trial after the other, in Python's own floats."""
    for share, shape, across, down in uniforms.T.tolist():
        surface = (area + share * (1 - area)) * width * height
        ratio = math.exp(math.log(3 / 4) + shape * (math.log(4 / 3) - math.log(3 / 4)))
        w = round(math.sqrt(surface * ratio))
        h = round(math.sqrt(surface / ratio))
        if 0 < w <= width and 0 < h <= height:
            left = math.floor(across * (width - w + 1))
            return left, math.floor(down * (height - h + 1)), w, h
    if width / height < 3 / 4:
        w, h = width, round(width / (3 / 4))
    elif width / height > 4 / 3:
        w, h = round(height * (4 / 3)), height
    else:
        w, h = width, height
    return (width - w) // 2, (height - h) // 2, w, h


@pytest.mark.parametrize(
    ("width", "height"), [(500, 375), (32, 32), (1, 1), (3, 200), (301, 10), (40, 55)]
)
@pytest.mark.parametrize("area", [0.08, 0.5, 1.0])
def test_boxes_are_those_of_the_equations(width, height, area):
    for _ in range(50):
        uniforms = RNG.random((4, 10))
        found = crops.box(Told(uniforms), width, height, area)
        assert found == reference_box(uniforms, width, height, area)


def test_boxes_lie_inside_and_are_spread_as_promised():
    boxes = [crops.box(RNG, 400, 400, 0.08) for _ in range(4000)]
    left, top, width, height = np.array(boxes).T
    assert min(left.min(), top.min(), width.min() - 1, height.min() - 1) >= 0
    assert max((left + width).max(), (top + height).max()) <= 400
    # Rounded to whole pixels, of which the smallest box has 98 a side.
    assert (width / height > 0.75 - 0.02).all()
    assert (width / height < 4 / 3 + 0.02).all()
    share = width * height / 400**2
    assert share.min() == pytest.approx(0.08, abs=0.005)
    # Of a square about a tenth does not fit and is drawn anew: the largest are rarer.
    assert 0.45 < share.mean() < 0.54
    # Symmetric: turned by a right angle the picture is the same.
    assert np.log(width / height).mean() == pytest.approx(0, abs=0.02)
    assert (left - (400 - width) / 2).mean() == pytest.approx(0, abs=5)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_colours_are_those_of_the_equations(order):
    image = painted(7, 5)
    factors = np.array([1.3, 0.7, 1.2])

    def grey(x):
        return x @ np.array([0.299, 0.587, 0.114])

    wanted = np.asarray(image, float)
    for at in order:
        other = (
            np.zeros_like(wanted),
            np.full_like(wanted, grey(wanted).mean()),
            np.repeat(grey(wanted)[..., None], 3, axis=-1),
        )[at]
        wanted = np.clip(other + factors[at] * (wanted - other), 0, 255)
    found = crops.jittered(Told(factors=factors, order=order), image, 0.4)
    # Pillow rounds to whole levels after each of the three, and the grey ones too.
    np.testing.assert_allclose(np.asarray(found, float), wanted, atol=3)


def test_without_random_crops_the_tested_image_is_the_whole_square():
    image = painted(20, 14)
    np.testing.assert_array_equal(
        crops.plain(image, Crop(8)), decoding.square(image, 8)
    )


@pytest.mark.parametrize(
    ("size", "resized", "corner"),
    [
        ((60, 48), (40, 32), (6, 2)),
        ((33, 90), (32, 87), (2, 30)),
        ((32, 32),) * 2 + ((2, 2),),
    ],
)
def test_with_random_crops_it_is_the_middle_224_of_256(size, resized, corner):
    image, (left, top) = painted(*size), corner
    wanted = image.resize(resized, Image.Resampling.BILINEAR)
    wanted = wanted.crop((left, top, left + 28, top + 28))
    found = crops.plain(image, Crop(28, area=0.08))
    np.testing.assert_array_equal(found, np.asarray(wanted))


def test_a_padded_crop_is_a_shift_and_every_shift_occurs():
    image = painted(4, 4)
    padded = np.pad(np.asarray(image), ((1, 1), (1, 1), (0, 0)))
    shifts = {
        padded[top : top + 4, left : left + 4].tobytes(): (top, left)
        for top in range(3)
        for left in range(3)
    }
    recipe = Crop(4, pad=1)
    seen = [crops.augmented(RNG, image, recipe).tobytes() for _ in range(200)]
    assert {shifts[pixels] for pixels in seen} == set(shifts.values())


def test_half_of_the_images_are_flipped():
    image = painted(4, 4)
    straight, mirrored = np.asarray(image), np.asarray(image)[:, ::-1]
    recipe = Crop(4, flip=True)
    flips = 0
    for _ in range(400):
        found = crops.augmented(RNG, image, recipe)
        assert (found == straight).all() or (found == mirrored).all()
        flips += (found == mirrored).all()
    assert 160 < flips < 240


def test_equal_generators_give_equal_pixels():
    image, recipe = painted(50, 40), Crop(16, 0.08, 0, True, 0.4)

    def seen(seed):
        return crops.augmented(np.random.default_rng(seed), image, recipe)

    np.testing.assert_array_equal(seen(1), seen(1))
    assert (seen(1) != seen(2)).any()
    assert seen(1).shape == (16, 16, 3)


def test_no_crop_is_of_fewer_pixels_than_it_becomes():
    recipe = Crop(224, 0.08)
    needed = crops.pixels_needed(recipe, augments=True)
    least = min(
        min(crops.box(np.random.default_rng(s), needed, needed, 0.08)[2:])
        for s in range(2000)
    )
    assert least >= 224
    assert crops.pixels_needed(recipe, augments=False) == 512


# Shapes far from a square


def scaled_whole(image, size):
    """The rule for what is tested: all is scaled, and the middle cut out."""
    side = round(size * 256 / 224)
    across, down = image.size
    shorter = min(across, down)
    whole = image.resize(
        (across * side // shorter, down * side // shorter),
        Image.Resampling.BILINEAR,
        reducing_gap=2.0,
    )
    left, top = round((whole.width - size) / 2), round((whole.height - size) / 2)
    return np.asarray(whole)[top : top + size, left : left + size]


@pytest.mark.parametrize("size", [8, 21, 28])
def test_ordinary_shapes_are_scaled_whole(size):
    """Up to 4 : 1 the middle that is scaled is everything, and every pixel the same."""
    for seed in range(60):
        shorter = int(RNG.integers(1, 150))
        longer = int(shorter * RNG.uniform(1, 4))
        sides = (shorter, longer) if seed % 2 else (longer, shorter)
        image = painted(*sides, seed)
        found = crops.plain(image, Crop(size, area=0.08))
        np.testing.assert_array_equal(found, scaled_whole(image, size))


@pytest.mark.parametrize("turn", [False, True])
@pytest.mark.parametrize(("shorter", "ratio"), [(64, 5), (33, 7.5), (7, 40), (150, 9)])
def test_of_longer_ones_the_middle_is_the_same(shorter, ratio, turn):
    """But for where the middle falls between two pixels of the scaled whole."""
    across, down = int(shorter * ratio), shorter
    x, y = np.meshgrid(np.arange(across) - across / 2, np.arange(down))
    waves = 128 + 60 * np.sin(2 * x / shorter) + 50 * np.cos(3 * y / shorter)
    pixels = np.dstack([waves] * 3).astype(np.uint8)
    if turn:
        pixels = np.ascontiguousarray(pixels.transpose(1, 0, 2))
    image = Image.fromarray(pixels)
    found = crops.plain(image, Crop(28, area=0.08)).astype(int)
    # Half a pixel of 32 to a side, of a wave that changes by 120 / 32 at most.
    np.testing.assert_allclose(found, scaled_whole(image, 28), atol=4)


@pytest.mark.parametrize("sides", [(20_000, 1), (1, 80_000), (3, 70_000), (1, 1)])
@pytest.mark.parametrize("area", [None, 0.08, 1.0])
def test_what_is_scaled_does_not_grow_with_the_longer_side(monkeypatch, sides, area):
    made, resize = [], Image.Image.resize

    def recorded(image, size, *more, **others):
        made.append(size)
        return resize(image, size, *more, **others)

    monkeypatch.setattr(Image.Image, "resize", recorded)
    recipe, image = Crop(56, area, flip=True), painted(*sides)
    for found in (crops.plain(image, recipe), crops.augmented(RNG, image, recipe)):
        assert found.shape == (56, 56, 3)
    assert len(made) >= 2
    # 64 pixels for 56, and four times as many along the longer side.
    assert max(max(size) for size in made) <= 4 * 64 * 4 / 3
