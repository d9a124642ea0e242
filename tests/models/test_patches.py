import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from ltjax.models.patches import convolve_first, convolve_tiny, max_pool, patches

RNG = np.random.default_rng(0)


def draw(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def reference(x, kernel, stride):
    """The convolution by its definition, in float64."""
    x, kernel = np.float64(x), np.float64(kernel)
    size, half = len(kernel), len(kernel) // 2
    x = np.pad(x, ((0, 0), (half, half), (half, half), (0, 0)))
    rows = range(0, x.shape[1] - size + 1, stride)
    columns = range(0, x.shape[2] - size + 1, stride)
    out = [
        [np.tensordot(x[:, r : r + size, c : c + size], kernel, 3) for c in columns]
        for r in rows
    ]
    return np.moveaxis(np.array(out), 2, 0)


@pytest.mark.parametrize("convolve", [convolve_first, convolve_tiny])
@pytest.mark.parametrize(
    ("height", "width", "size", "stride"),
    [(1, 1, 3, 1), (2, 2, 3, 2), (5, 4, 3, 2), (6, 8, 5, 2)],
)
def test_convolutions_and_their_gradients(convolve, height, width, size, stride):
    x, kernel = draw(3, height, width, 2), draw(size, size, 2, 4)
    wanted = reference(x, kernel, stride)
    got, pull = jax.vjp(jax.jit(lambda x, k: convolve(x, k, stride)), x, kernel)
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)

    # Linear in either argument: its gradient is what an inner product says it is.
    dy, dx, dk = draw(*wanted.shape), draw(*x.shape), draw(*kernel.shape)
    got_x, got_k = jax.jit(pull)(dy)
    for got, move, change in (
        (got_x, dx, reference(dx, kernel, stride)),
        (got_k, dk, reference(x, dk, stride)),
    ):
        np.testing.assert_allclose(
            np.vdot(np.float64(got), move), np.vdot(dy, change), rtol=1e-4, atol=1e-4
        )


def test_gradient_of_the_first_layer_inside_a_scan():
    x, kernel, dy = draw(4, 9, 9, 3), draw(7, 7, 3, 5), draw(4, 5, 5, 5)

    @jax.jit
    def inside(kernel):
        def body(kernel, _):
            slope = jax.grad(lambda k: (convolve_first(x, k, 2) * dy).sum())(kernel)
            return kernel, slope

        return jax.lax.scan(body, kernel, length=2)[1]

    got = inside(kernel)
    wanted = np.empty(kernel.shape)
    for place in np.ndindex(7, 7, 3):
        one = np.zeros((7, 7, 3, 1))
        one[place] = 1
        wanted[place] = (reference(x, one, 2) * dy).sum((0, 1, 2))
    np.testing.assert_allclose(got[1], wanted, rtol=1e-4, atol=1e-4)


def test_patches_of_a_picture_of_its_own_places():
    x = np.arange(9.0).reshape(1, 3, 3, 1)
    got = patches(x, 3, 2)
    assert got.shape == (1, 2, 2, 9)
    np.testing.assert_array_equal(got[0, 0, 0], [0, 0, 0, 0, 0, 1, 0, 3, 4])
    np.testing.assert_array_equal(got[0, 1, 1], [4, 5, 0, 7, 8, 0, 0, 0, 0])


@pytest.mark.parametrize("shape", [(2, 8, 8, 3), (1, 7, 5, 2), (1, 1, 1, 1)])
def test_max_pool(shape):
    x = draw(*shape)
    wanted = nn.max_pool(x, (3, 3), (2, 2), padding=((1, 1), (1, 1)))
    np.testing.assert_array_equal(max_pool(x), wanted)
    half = jnp.asarray(x, jnp.bfloat16)
    assert max_pool(half).dtype == jnp.bfloat16


def test_gradient_of_max_pool_equals_pytorch_with_ties():
    torch = pytest.importorskip("torch")
    x = RNG.integers(-2, 3, (2, 9, 8, 3)).astype(np.float32)
    dy = draw(2, 5, 4, 3)
    leaf = torch.tensor(x.transpose(0, 3, 1, 2), requires_grad=True)
    torch.nn.functional.max_pool2d(leaf, 3, 2, 1).backward(
        torch.tensor(dy.transpose(0, 3, 1, 2))
    )
    (got,) = jax.vjp(jax.jit(max_pool), x)[1](dy)
    wanted = leaf.grad.numpy().transpose(0, 2, 3, 1)
    np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=1e-6)
