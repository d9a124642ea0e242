"""Multiply-accumulates against counts by hand, and what cannot be counted."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ltjax.evaluation import cost


def counted(function, *shapes):
    arrays = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    return cost.macs(jax.make_jaxpr(function)(*arrays))


def convolve(x, kernel, stride=1, groups=1):
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )


@pytest.mark.parametrize(
    ("stride", "groups", "wanted"),
    [
        (1, 1, 2 * 8 * 6 * 12 * 9 * 4),
        (2, 1, 2 * 4 * 3 * 12 * 9 * 4),
        (1, 2, 2 * 8 * 6 * 12 * 9 * 2),
    ],
)
def test_convolutions(stride, groups, wanted):
    kernel = (3, 3, 4 // groups, 12)
    found = counted(lambda x, k: convolve(x, k, stride, groups), (2, 8, 6, 4), kernel)
    assert found == wanted


def test_products():
    assert counted(lambda a, b: a @ b, (5, 7), (7, 3)) == 5 * 7 * 3
    # Batched: E heads on features [B, E, D].
    found = counted(lambda a, b: jnp.einsum("bed,edc->bec", a, b), (2, 3, 7), (3, 7, 5))
    assert found == 2 * 3 * 7 * 5
    assert counted(lambda a: (a * a).sum(), (9, 9)) == 0


def product(a):
    return a @ a


def loop(a):
    return jax.lax.fori_loop(0, 5, lambda _, a: a @ a, a)


@jax.custom_vjp
def own_slope(a):
    return a @ a


own_slope.defvjp(lambda a: (a @ a, a), lambda a, slope: (slope @ a,))


def alternatives(a):
    return jax.lax.cond(a.sum() > 0, product, lambda a: product(product(a)), a)


@pytest.mark.parametrize(
    ("function", "products"),
    [
        (jax.jit(product), 1),
        (jax.checkpoint(product), 1),
        (loop, 5),
        (alternatives, 2),
        (own_slope, 1),
    ],
)
def test_programs_within_programs(function, products):
    assert counted(function, (4, 4)) == products * 4**3


def test_a_loop_of_unknown_length():
    def until(body):
        return lambda a: jax.lax.while_loop(lambda a: a.sum() < 9, body, a)

    assert counted(until(lambda a: a + 1), (4, 4)) == 0
    with pytest.raises(ValueError, match="unknown length"):
        counted(until(product), (4, 4))


def test_cost_of_routed_samples():
    # RIDE's example on CIFAR-100: these shares stop after 1, 2 and 3 experts.
    used = np.repeat([1, 2, 3], [4099, 947, 4954])
    assert round(float(cost.routed(used, [49.48, 74.92, 100.36])), 1) == 77.1
