"""The inverse root has the bits of IEEE 754, which NumPy has too."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ltjax.models import root
from ltjax.models.batch_norm import BatchNorm
from ltjax.models.heads import Cosine

X = np.random.default_rng(0).uniform(1e-5, 9, 4001).astype(np.float32)
EXACT = np.float32(1) / np.sqrt(X)


def test_every_bit_is_that_of_a_root_and_a_division():
    np.testing.assert_array_equal(jax.jit(root.inverse)(X), EXACT, strict=True)
    # Which others are not: the test can tell.
    assert (np.asarray(jax.jit(jax.lax.rsqrt)(X)) != EXACT).any()
    assert (np.asarray(jax.jit(lambda x: 1 / jnp.sqrt(x))(X)) != EXACT).any()


def test_its_slope_is_made_of_the_same_operations():
    slope = jax.jit(jax.vmap(jax.grad(root.inverse)))(X)
    wanted = -0.5 * np.float64(X) ** -1.5
    np.testing.assert_allclose(slope, wanted, rtol=1e-6)
    wanted = np.float32(-0.5) * EXACT / X
    np.testing.assert_array_equal(slope, wanted)


@pytest.mark.parametrize("slope", [False, True])
@pytest.mark.parametrize(
    ("module", "args"),
    [(BatchNorm(), (True,)), (Cosine(3), ())],
)
def test_networks_take_no_other_root(module, args, slope):
    """The compiled program of a layer, and of its slope, has no `rsqrt`."""
    x = jnp.ones((2, 4, 4, 3)) if args else jnp.ones((2, 3))
    variables = jax.eval_shape(lambda: module.init(jax.random.key(0), x))

    def total(variables, x):
        return module.apply(variables, x, *args, mutable=True)[0].sum()

    function = jax.grad(total, (0, 1), allow_int=True) if slope else total
    text = jax.jit(function).lower(variables, x).compile().as_text()
    assert " rsqrt(" not in text
    assert " sqrt(" in text
