"""Every result of a policy is one that Pillow reaches, as often as it should be.

For one image all results are enumerated with their probabilities: which operations,
whether each is used, which signs. Many draws for that image are then sorted into them.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps
from scipy.stats import chi2

from ltjax.data.augment import policies

SIDE, DRAWS = 12, 3000
FILL = (128, 128, 128)
GREY = np.array(FILL)
SIZE = (SIDE, SIDE)

pytestmark = pytest.mark.usefixtures("compiled_once")
autoaugment = jax.jit(policies.autoaugment)
randaugment = jax.jit(policies.randaugment, static_argnames="number")
increasing = jax.jit(policies.randaugment_increasing, static_argnames="number")
operate = jax.jit(policies.operate)


def affine(picture, matrix, resample, fill=FILL):
    kind = Image.Transform.AFFINE
    return picture.transform(picture.size, kind, matrix, resample, fillcolor=fill)


def pillow(picture, operation, value, resample=Image.Resampling.NEAREST):
    """What Pillow makes of one operation with its value."""
    width, height = picture.size
    if operation == policies.SHEAR_X:
        return affine(picture, (1, value, 0, 0, 1, 0), resample)
    if operation == policies.SHEAR_Y:
        return affine(picture, (1, 0, 0, value, 1, 0), resample)
    if operation == policies.TRANSLATE_X:
        return affine(picture, (1, 0, value * width, 0, 1, 0), resample)
    if operation == policies.TRANSLATE_Y:
        return affine(picture, (1, 0, 0, 0, 1, value * height), resample)
    if operation == policies.ROTATE:
        return picture.rotate(value, resample, fillcolor=FILL)
    if operation == policies.POSTERIZE:
        return ImageOps.posterize(picture, int(value))
    if operation == policies.SOLARIZE:
        return ImageOps.solarize(picture, value)
    if operation == policies.SOLARIZE_ADD:
        return picture.point(
            [min(i + value, 255) if i < 128 else i for i in range(256)] * 3
        )
    plain = {
        policies.INVERT: ImageOps.invert,
        policies.AUTOCONTRAST: ImageOps.autocontrast,
        policies.EQUALIZE: ImageOps.equalize,
    }
    if operation in plain:
        return plain[operation](picture)
    blends = {
        policies.SATURATION: ImageEnhance.Color,
        policies.CONTRAST: ImageEnhance.Contrast,
        policies.BRIGHTNESS: ImageEnhance.Brightness,
        policies.SHARPNESS: ImageEnhance.Sharpness,
    }
    return blends[operation](picture).enhance(value)


@pytest.fixture(scope="module")
def image():
    """Not so wide a histogram that contrast and equalisation find nothing to do."""
    generator = np.random.default_rng(0)
    return generator.integers(20, 180, (*SIZE, 3)).astype(np.uint8)


def many(image):
    return np.broadcast_to(image, (DRAWS, *image.shape))


VALUES = {
    policies.SHEAR_X: (-0.3, 0.1),
    policies.SHEAR_Y: (0.3, -0.2),
    policies.TRANSLATE_X: (0.45, -0.15),
    policies.TRANSLATE_Y: (-0.45, 0.2),
    policies.ROTATE: (30, -4),
    policies.POSTERIZE: (4, 7),
    policies.SOLARIZE: (28.5, 142),
    policies.SOLARIZE_ADD: (110, 3),
    **{operation: (0.1, 1.9) for operation in policies.BLENDS},
}


def test_there_are_15_operations_of_three_kinds():
    kinds = (*policies.WARPS, *policies.TABLES, *policies.BLENDS)
    assert kinds == tuple(range(15))


@pytest.mark.parametrize("operation", range(15))
def test_operations_match_pillow(image, operation):
    for value in VALUES.get(operation, (0, 1)):
        found = operate(image, operation, float(value), jnp.uint8(FILL))
        wanted = pillow(Image.fromarray(image), operation, value)
        gap = abs(np.asarray(found, int) - np.asarray(wanted, int))
        assert gap.max() <= 1  # see the tests of warps and colours
        assert gap.mean() < 0.05


def outcomes(image, series):
    """Results of Pillow with their probabilities; equal results are one.

    A series is a probability and steps; a step lists (probability, change).
    """
    found = {}
    for share, steps in series:
        for path in itertools.product(*steps):
            picture, probability = Image.fromarray(image), share
            for part, change in path:
                picture, probability = change(picture), probability * part
            pixels = np.asarray(picture).tobytes()
            found[pixels] = found.get(pixels, 0) + probability
    pixels = np.frombuffer(b"".join(found), np.uint8).reshape(-1, image.size)
    return pixels.astype(int), np.array(list(found.values()))


def assert_drawn_from(drawn, pixels, probabilities):
    """Each image is close to one of the results; Pearson's statistic is usual."""
    assert probabilities.sum() == pytest.approx(1)
    observed = np.zeros(len(pixels))
    drawn, times = np.unique(drawn.reshape(DRAWS, -1), axis=0, return_counts=True)
    for one, count in zip(drawn.astype(int), times):
        gaps = abs(pixels - one).mean(1)
        # One grey level of rounding, in places turned over by a threshold; two results
        # of Pillow are 1.4 apart and more.
        assert gaps.min() < 1
        observed[gaps.argmin()] += count
    expected = probabilities * DRAWS
    rare = expected < 5  # are counted with the first
    observed, expected = (
        np.append(x[~rare][1:], x[rare].sum() + x[0]) for x in (observed, expected)
    )
    statistic = ((observed - expected) ** 2 / expected).sum()
    assert statistic < chi2.ppf(1 - 1e-4, len(expected) - 1)


def same(picture):
    return picture


def changed(operation, value, resample=Image.Resampling.NEAREST):
    return lambda picture: pillow(picture, operation, value, resample)


def autoaugment_step(operation, probability, magnitude):
    """The ranges of magnitudes as tables of ten, and the authors' random signs."""
    table = {
        policies.SHEAR_Y: np.linspace(0, 0.3, 10),
        policies.TRANSLATE_X: np.linspace(0, 150 / 331, 10),
        policies.TRANSLATE_Y: np.linspace(0, 150 / 331, 10),
        policies.ROTATE: np.linspace(0, 30, 10),
        policies.POSTERIZE: np.round(np.linspace(8, 4, 10)),
        policies.SOLARIZE: np.linspace(256, 0, 10),
        **{blend: np.linspace(0, 0.9, 10) for blend in policies.BLENDS},
    }
    value = table[operation][magnitude] if operation in table else 0
    values, resample = [value], Image.Resampling.NEAREST
    if operation == policies.SHEAR_Y:
        resample = Image.Resampling.BICUBIC
    if operation in policies.BLENDS:
        values = [1 + value, 1 - value]
    elif operation in policies.WARPS and operation != policies.ROTATE:
        values = [value, -value]
    used = [
        (probability / len(values), changed(operation, v, resample)) for v in values
    ]
    return [(1 - probability, same), *used]


def test_autoaugment_draws_what_pillow_would(image):
    series = [
        (1 / 25, [autoaugment_step(*step) for step in pair]) for pair in policies.CIFAR
    ]
    pixels, probabilities = outcomes(image, series)
    assert len(pixels) > 90
    drawn = np.asarray(autoaugment(jax.random.key(0), many(image), GREY))
    assert drawn.dtype == np.uint8
    assert_drawn_from(drawn, pixels, probabilities)


def test_randaugment_draws_what_pillow_would(image):
    values = dict.fromkeys(range(15), (0,))
    values |= dict.fromkeys((policies.SHEAR_X, policies.SHEAR_Y), (0.3, -0.3))
    values |= dict.fromkeys((policies.TRANSLATE_X, policies.TRANSLATE_Y), (0.45, -0.45))
    values |= {policies.ROTATE: (30, -30), policies.POSTERIZE: (4,)}
    values |= {policies.SOLARIZE: (256,), policies.SOLARIZE_ADD: (110,)}
    values |= dict.fromkeys(policies.BLENDS, (1.9,))
    kernels = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC)
    step = [(0.5, same)]
    for operation, choices in values.items():
        for value, kernel in itertools.product(choices, kernels):
            share = 0.5 / 15 / len(choices) / 2
            step.append((share, changed(operation, value, kernel)))
    pixels, probabilities = outcomes(image, [(1, [step])])
    drawn = randaugment(jax.random.key(1), many(image), GREY, 1, 10.0, 0.0)
    assert_drawn_from(np.asarray(drawn), pixels, probabilities)


def test_randaugment_of_increasing_strength_draws_what_pillow_would(image):
    """At 9: 1 bit, threshold 26, 99 added, blends by 1.81 or 0.19, bicubic warps."""
    values = dict.fromkeys(range(15), (0,))
    values |= dict.fromkeys((policies.SHEAR_X, policies.SHEAR_Y), (0.27, -0.27))
    shift = 0.9 * 0.45
    values |= dict.fromkeys(
        (policies.TRANSLATE_X, policies.TRANSLATE_Y), (shift, -shift)
    )
    values |= {policies.ROTATE: (27, -27), policies.POSTERIZE: (1,)}
    values |= {policies.SOLARIZE: (26,), policies.SOLARIZE_ADD: (99,)}
    values |= dict.fromkeys(policies.BLENDS, (1.81, 0.19))
    step = [(0.5, same)]
    for operation, choices in values.items():
        for value in choices:
            kernel = Image.Resampling.BICUBIC
            share = 0.5 / 15 / len(choices)
            step.append((share, changed(operation, value, kernel)))
    pixels, probabilities = outcomes(image, [(1, [step])])
    drawn = increasing(jax.random.key(1), many(image), GREY, 1, 9.0, 0.0)
    assert_drawn_from(np.asarray(drawn), pixels, probabilities)


def test_levels_of_randaugment_are_normal():
    """Of 20 everywhere only an amount added makes 40..120."""
    images = many(np.full((*SIZE, 3), 20, np.uint8))
    drawn = [
        np.asarray(randaugment(key, images, 0 * GREY + 20, 1, 5.0, 0.5))
        for key in jax.random.split(jax.random.key(0), 6)
    ]
    added = np.concatenate(drawn)[:, 0, 0, 0].astype(int) - 20
    level = (added[(added > 20) & (added < 100)] + 0.5) / 11  # what floor took, back
    assert abs(len(level) - len(added) / 30) < 5 * np.sqrt(len(added) / 30)
    assert abs(level.mean() - 5) < 5 * 0.5 / np.sqrt(len(level))
    assert level.std() == pytest.approx(0.5, rel=0.15)


@pytest.mark.parametrize(("beyond", "end"), [(30.0, 10.0), (-5.0, 0.0)])
def test_levels_beyond_the_range_are_cut(image, beyond, end):
    found, wanted = (
        randaugment(jax.random.key(3), many(image), GREY, 1, magnitude, 0.0)
        for magnitude in (beyond, end)
    )
    np.testing.assert_array_equal(found, wanted)


def test_a_policy_is_a_function_of_its_key(image):
    for policy in (autoaugment, lambda *x: randaugment(*x, 1, 10.0, 0.5)):
        first, again, other = (
            np.asarray(policy(jax.random.key(seed), many(image), GREY))
            for seed in (1, 1, 2)
        )
        np.testing.assert_array_equal(first, again)
        assert (first != other).any()


def test_two_seeds_of_grey_images_at_once():
    """One channel, under vmap; the fill is a number."""
    images = np.arange(8 * SIDE**2, dtype=np.uint8).reshape(8, *SIZE, 1)
    seeds = jax.jit(jax.vmap(policies.autoaugment, (0, None)))
    found = seeds(jax.random.split(jax.random.key(0)), images)
    assert found.shape == (2, *images.shape)
    assert found.dtype == np.uint8
    single = autoaugment(jax.random.split(jax.random.key(0))[1], images)
    np.testing.assert_array_equal(found[1], single)
    assert (found[0] != found[1]).any()


def test_the_fill_may_be_a_colour():
    fill = np.array([10, 20, 30])
    images = many(np.full((*SIZE, 3), 200, np.uint8))
    drawn = np.asarray(autoaugment(jax.random.key(0), images, fill))
    assert (drawn == fill).all(-1).any()
