"""Random series of image operations: AutoAugment's for CIFAR, and RandAugment.

On the device, inside the compiled step; images are uint8 [B, H, W, ch], with one or
three channels. All operations are of three kinds, so that a batch of images with
different ones takes one warp, one look-up and one blend.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ltjax.data.augment import colour, warp

WARPS = SHEAR_X, SHEAR_Y, TRANSLATE_X, TRANSLATE_Y, ROTATE = range(5)
TABLES = INVERT, POSTERIZE, SOLARIZE, SOLARIZE_ADD, AUTOCONTRAST, EQUALIZE = range(
    5, 11
)
BLENDS = SATURATION, CONTRAST, BRIGHTNESS, SHARPNESS = range(11, 15)

# Cubuk et al. 2019 (arXiv:1805.09501), table 7: operation, probability, magnitude 0..9.
CIFAR = (
    ((INVERT, 0.1, 7), (CONTRAST, 0.2, 6)),
    ((ROTATE, 0.7, 2), (TRANSLATE_X, 0.3, 9)),
    ((SHARPNESS, 0.8, 1), (SHARPNESS, 0.9, 3)),
    ((SHEAR_Y, 0.5, 8), (TRANSLATE_Y, 0.7, 9)),
    ((AUTOCONTRAST, 0.5, 8), (EQUALIZE, 0.9, 2)),
    ((SHEAR_Y, 0.2, 7), (POSTERIZE, 0.3, 7)),
    ((SATURATION, 0.4, 3), (BRIGHTNESS, 0.6, 7)),
    ((SHARPNESS, 0.3, 9), (BRIGHTNESS, 0.7, 9)),
    ((EQUALIZE, 0.6, 5), (EQUALIZE, 0.5, 1)),
    ((CONTRAST, 0.6, 7), (SHARPNESS, 0.6, 5)),
    ((SATURATION, 0.7, 7), (TRANSLATE_X, 0.5, 8)),
    ((EQUALIZE, 0.3, 7), (AUTOCONTRAST, 0.4, 8)),
    ((TRANSLATE_Y, 0.4, 3), (SHARPNESS, 0.2, 6)),
    ((BRIGHTNESS, 0.9, 6), (SATURATION, 0.2, 8)),
    ((SOLARIZE, 0.5, 2), (INVERT, 0.0, 3)),
    ((EQUALIZE, 0.2, 0), (AUTOCONTRAST, 0.6, 0)),
    ((EQUALIZE, 0.2, 8), (EQUALIZE, 0.6, 4)),
    ((SATURATION, 0.9, 9), (EQUALIZE, 0.6, 6)),
    ((AUTOCONTRAST, 0.8, 4), (SOLARIZE, 0.2, 8)),
    ((BRIGHTNESS, 0.1, 3), (SATURATION, 0.7, 0)),
    ((SOLARIZE, 0.4, 5), (AUTOCONTRAST, 0.9, 3)),
    ((TRANSLATE_Y, 0.9, 9), (TRANSLATE_Y, 0.7, 9)),
    ((AUTOCONTRAST, 0.9, 2), (SOLARIZE, 0.8, 3)),
    ((EQUALIZE, 0.8, 8), (INVERT, 0.1, 3)),
    ((TRANSLATE_Y, 0.7, 9), (AUTOCONTRAST, 0.9, 1)),
)


def operate(image, operation, value, fill, kernel=warp.nearest):
    """One operation on one image [H, W, ch].

    `value`: slope of a shear, fraction of the size of a translation (to the left, up),
    degrees counter-clockwise of a rotation, bits kept, threshold, amount added, factor
    of a blend (1 changes nothing); unused by the others. `fill` is the colour [ch] of
    what a warp brings in. Operation and value may be traced.
    """
    operation, (height, width, _) = jnp.asarray(operation), image.shape
    matrices = (
        warp.shear_x(value),
        warp.shear_y(value),
        warp.translation(value * width, 0),
        warp.translation(0, value * height),
        warp.rotation(value, height, width),
    )
    tables = (
        colour.invert(image),
        colour.posterize(image, value),
        colour.solarize(image, value),
        colour.solarize_add(image, value),
        colour.autocontrast(image),
        colour.equalize(image),
    )
    degenerates = (
        colour.grey(image),
        colour.flat(image),
        colour.black(image),
        colour.smooth(image),
    )
    matrix, table, degenerate = (
        jax.lax.select_n(jnp.clip(operation - kind[0], 0, len(kind) - 1), *choices)
        for kind, choices in (
            (WARPS, matrices),
            (TABLES, tables),
            (BLENDS, degenerates),
        )
    )
    # Else the compiler works these out again for every pixel that is made of them.
    matrix, table, degenerate = jax.lax.optimization_barrier(
        (matrix, table, degenerate)
    )
    warped = warp.warp(image, matrix, fill, kernel)
    looked_up = colour.look_up(image, table)
    blended = colour.blend(degenerate, image, value)
    kind = (operation > WARPS[-1]).astype(jnp.int32) + (operation > TABLES[-1])
    return jax.lax.select_n(kind, warped, looked_up, blended)


def autoaugment(key, images, fill=128):
    """One of the 25 pairs `CIFAR` for each image, each half with its probability.

    Shears up to 0.3 (bicubic), translations up to 150/331 of the size, blends by 1 to
    0.9 around 1, with a random sign; rotations up to 30 degrees counter-clockwise; 8 to
    4 bits; thresholds 256 to 0. `fill` is a grey or a colour [ch].
    """
    choice_key, used_key, sign_key = jax.random.split(key, 3)
    shape = (len(images), 2)
    choice = jax.random.randint(choice_key, shape[:1], 0, len(CIFAR))
    operations, probabilities, middles, swings = (
        jnp.asarray(column)[choice] for column in _CIFAR
    )
    used = jax.random.uniform(used_key, shape) < probabilities
    signs = jax.random.rademacher(sign_key, shape, jnp.float32)
    kernels = jnp.where(operations <= SHEAR_Y, _CUBIC, _NEAREST)
    return _series(images, operations, middles + signs * swings, used, kernels, fill)


def randaugment(key, images, fill, number=2, magnitude=10.0, deviation=0.5):
    """`number` operations for each image, any of the 15 and each used with chance 1/2.

    Cubuk et al. 2020 (arXiv:1909.13719) with magnitudes around `magnitude`, normal with
    a `deviation`, cut to 0..10. At 10: rotations by 30 degrees, shears by 0.3,
    translations by 0.45 of the size, all with a random sign and bilinear or bicubic at
    random; blends by 1.9 (at 0 by 0.1), 4 bits (0), threshold 256 (0), 110 added (0).
    `fill` is a colour [ch], such as the mean of the images'.
    """
    drawn = _drawn(key, (len(images), number), magnitude, deviation)
    kernels = jnp.where(
        jax.random.bernoulli(drawn.key, shape=drawn.used.shape), _CUBIC, _LINEAR
    )
    level = drawn.level
    values = {operation: 0.1 + 1.8 * level for operation in BLENDS}
    values |= {POSTERIZE: jnp.floor(4 * level), SOLARIZE: jnp.floor(256 * level)}
    return _chosen(images, drawn, values, kernels, fill)


def randaugment_increasing(key, images, fill, number=2, magnitude=9.0, deviation=0.5):
    """The same, but that everything is changed the more, the larger the magnitude.

    timm's rand-m9-mstd0.5-inc1, with which DeiT is trained: blends by 1.9 or 0.1, at 0
    by 1, with a random sign; 0 bits (at 0, 4), threshold 0 (256). Warps are bicubic.
    """
    drawn = _drawn(key, (len(images), number), magnitude, deviation)
    kernels = jnp.full(drawn.used.shape, _CUBIC)
    level = drawn.level
    blend = jnp.maximum(0.1, 1 + 0.9 * drawn.signed)
    values = {operation: blend for operation in BLENDS}
    values |= {POSTERIZE: 4 - jnp.floor(4 * level)}
    values |= {SOLARIZE: 256 - jnp.floor(256 * level)}
    return _chosen(images, drawn, values, kernels, fill)


class _Drawn(NamedTuple):
    """What is done to each image, [B, steps] each."""

    operations: jax.Array
    used: jax.Array
    level: jax.Array  # in 0..1
    signed: jax.Array  # the same with a random sign
    key: jax.Array  # for more


def _drawn(key, shape, magnitude, deviation):
    keys = jax.random.split(key, 5)
    level = magnitude + deviation * jax.random.normal(keys[2], shape)
    level = jnp.clip(level, 0, 10) / 10
    return _Drawn(
        operations=jax.random.randint(keys[0], shape, 0, BLENDS[-1] + 1),
        used=jax.random.bernoulli(keys[1], shape=shape),
        level=level,
        signed=level * jax.random.rademacher(keys[3], shape, jnp.float32),
        key=keys[4],
    )


def _chosen(images, drawn, values, kernels, fill):
    """The series that was drawn; `values` of what RandAugments do differently."""
    level, signed = drawn.level, drawn.signed
    values |= {SHEAR_X: 0.3 * signed, SHEAR_Y: 0.3 * signed, ROTATE: 30 * signed}
    values |= {TRANSLATE_X: 0.45 * signed, TRANSLATE_Y: 0.45 * signed}
    values |= {SOLARIZE_ADD: jnp.floor(110 * level)}
    every = [values.get(operation, level) for operation in range(BLENDS[-1] + 1)]
    found = jnp.stack(
        [jnp.where(drawn.operations == i, x, 0) for i, x in enumerate(every)]
    )
    return _series(images, drawn.operations, found.sum(0), drawn.used, kernels, fill)


_NEAREST, _LINEAR, _CUBIC = range(3)


def _series(images, operations, values, used, kernels, fill):
    """Operations one after another, [B, steps] each, where they are used."""
    fill = jnp.broadcast_to(jnp.asarray(fill, jnp.uint8), images.shape[-1:])

    def step(image, chosen):
        operation, value, used, kernel = chosen
        changed = operate(image, operation, value, fill, _kernel(kernel))
        return jnp.where(used, changed, image), None

    def series(image, *steps):
        return jax.lax.scan(step, image, steps)[0]

    return jax.vmap(series)(images, operations, values, used, kernels)


def _kernel(number):
    """The kernel of that number, which may be traced."""

    def kernel(behind):
        # Linear between two pixels is the nearest one where the share is 0 or 1.
        rounded = (behind >= 0.5).astype(behind.dtype)
        behind = jnp.where(number == _NEAREST, rounded, behind)
        linear = dict(warp.bilinear(behind))
        for step, weight in warp.bicubic(behind):
            yield step, jnp.where(number == _CUBIC, weight, linear.get(step, 0))

    return kernel


def _arguments(operation, magnitude):
    """Middle and swing of the value of AutoAugment's magnitude 0..9."""
    part = magnitude / 9
    if operation in (SHEAR_X, SHEAR_Y):
        return 0, 0.3 * part
    if operation in (TRANSLATE_X, TRANSLATE_Y):
        return 0, 150 / 331 * part
    if operation in BLENDS:
        return 1, 0.9 * part
    single = {
        ROTATE: 30 * part,
        POSTERIZE: round(8 - 4 * part),
        SOLARIZE: 256 - 256 * part,
    }
    return single.get(operation, 0), 0


def _columns(policy):
    """Operations, probabilities, middles and swings of a policy, each [pairs, 2]."""
    rows = [[(o, p, *_arguments(o, m)) for o, p, m in pair] for pair in policy]
    operations, *numbers = np.moveaxis(np.array(rows), -1, 0)
    return operations.astype(np.int32), *(x.astype(np.float32) for x in numbers)


_CIFAR = _columns(CIFAR)
