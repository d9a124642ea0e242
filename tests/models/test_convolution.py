"""The written gradients of the convolution against the derived ones and a sum."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ltjax.models.convolution import convolve
from ltjax.models.gradient import plain
from ltjax.runtime import devices

SHAPES = [
    # images, height, width, in, out, stride
    (8, 6, 6, 4, 4, 1),
    (6, 7, 5, 3, 8, 1),
    (3, 8, 8, 4, 8, 2),
    (5, 7, 5, 2, 3, 2),
    (2, 1, 1, 3, 2, 1),
    (2, 1, 2, 3, 2, 2),
]


def arrays(shape):
    images, height, width, inputs, outputs, stride = shape
    rng = np.random.default_rng(0)
    x = rng.normal(size=(images, height, width, inputs)).astype(np.float32)
    kernel = rng.normal(size=(3, 3, inputs, outputs)).astype(np.float32)
    size = (images, -(-height // stride), -(-width // stride), outputs)
    return x, kernel, rng.normal(size=size).astype(np.float32), stride


def reference(x, kernel, dy, stride):
    """y, dx and dK pixel by pixel in float64."""
    x, kernel, dy = (a.astype(np.float64) for a in (x, kernel, dy))
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    y, dpadded, dkernel = np.zeros(dy.shape), np.zeros(padded.shape), 0 * kernel
    for i in range(dy.shape[1]):
        for j in range(dy.shape[2]):
            rows, columns = (slice(stride * k, stride * k + 3) for k in (i, j))
            window = padded[:, rows, columns]
            y[:, i, j] = np.einsum("nrsi,rsio->no", window, kernel)
            dkernel += np.einsum("nrsi,no->rsio", window, dy[:, i, j])
            dpadded[:, rows, columns] += np.einsum("no,rsio->nrsi", dy[:, i, j], kernel)
    return y, dpadded[:, 1:-1, 1:-1], dkernel


@pytest.mark.parametrize("shape", SHAPES)
def test_value_and_gradients_are_the_sums(shape):
    x, kernel, dy, stride = arrays(shape)
    y, pull = jax.vjp(partial(convolve, stride=stride), x, kernel)
    for ours, theirs in zip((y, *pull(dy)), reference(x, kernel, dy, stride)):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("count", [1, 2, 3, 8])
@pytest.mark.parametrize("images", [24, 16, 10, 7])
def test_kernel_gradient_by_as_many_parts_as_devices(monkeypatch, count, images):
    """Several turns of the loop, parts of one or several images, and no parts."""
    monkeypatch.setattr(jax, "device_count", lambda: count)
    x, kernel, dy, _ = arrays((images, 4, 3, 2, 5, 1))
    ours = jax.vjp(convolve, x, kernel)[1](dy)[1]
    wanted = reference(x, kernel, dy, 1)[2]
    np.testing.assert_allclose(ours, wanted, rtol=1e-5, atol=5e-5)


@pytest.mark.parametrize("shape", SHAPES[:4])
def test_gradients_equal_the_derived_ones(shape):
    x, kernel, dy, stride = arrays(shape)
    _, pull = jax.vjp(partial(convolve, stride=stride), x, kernel)
    _, derived = jax.vjp(partial(plain, stride=stride), x, kernel)
    for ours, theirs in zip(pull(dy), derived(dy)):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=2e-5)


def test_bfloat16_sums_the_kernel_gradient_in_float32():
    x, kernel, dy, _ = (jnp.asarray(a, jnp.bfloat16) for a in arrays(SHAPES[0]))
    _, pull = jax.vjp(convolve, x, kernel)
    dx, dkernel = pull(dy)
    assert dx.dtype == dkernel.dtype == jnp.bfloat16
    inputs = (np.asarray(a, np.float32) for a in (x, kernel, dy))
    _, dx64, dkernel64 = reference(*inputs, 1)
    # One rounding to 8 bits for the kernel; dx is XLA's own bfloat16 convolution.
    np.testing.assert_allclose(dkernel.astype(np.float32), dkernel64, rtol=4e-3)
    np.testing.assert_allclose(dx.astype(np.float32), dx64, rtol=2e-2, atol=0.1)


def test_gradient_under_vmap_and_scan_is_the_same():
    x, kernel, dy, _ = arrays(SHAPES[0])

    def gradients(kernel, x):
        return jax.vjp(convolve, x, kernel)[1](jnp.asarray(dy))

    kernels = np.stack([kernel, 2 * kernel])
    one = [gradients(kernel, x) for kernel in kernels]
    many = jax.vmap(gradients, (0, None))(kernels, x)
    looped = jax.lax.map(lambda kernel: gradients(kernel, jnp.asarray(x)), kernels)
    for got in (many, looped):
        for index in range(2):
            for ours, theirs in zip(got, one[index]):
                np.testing.assert_allclose(ours[index], theirs, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("stride", [1, 2])
def test_devices_exchange_only_the_sums(stride):
    assert jax.device_count() == 2
    x, kernel, dy, _ = arrays((16, 6, 6, 4, 5, stride))

    def gradient(x, kernel, dy, spread=devices.spread):
        _, pull = jax.vjp(partial(convolve, stride=stride), spread(x), kernel)
        return pull(spread(dy))[1]

    whole = gradient(x, kernel, dy, spread=jnp.asarray)
    split = jax.jit(
        gradient,
        in_shardings=(devices.split(), devices.everywhere(), devices.split()),
        out_shardings=devices.everywhere(),
    )
    program = split.lower(x, kernel, dy).compile().as_text()
    # One sum, and no image travels; the names are those of XLA's operations.
    assert program.count(" all-reduce(") == 1
    for name in ("all-gather", "all-to-all", "collective-permute"):
        assert name not in program
    np.testing.assert_allclose(split(x, kernel, dy), whole, rtol=1e-5, atol=2e-5)
