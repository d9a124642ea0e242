import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from ltjax.data.augment import warp

HEIGHT, WIDTH = 20, 27
FILL = (7, 130, 255)
PEERS = {
    warp.nearest: Image.Resampling.NEAREST,
    warp.bilinear: Image.Resampling.BILINEAR,
    warp.bicubic: Image.Resampling.BICUBIC,
}

apply = jax.jit(warp.warp, static_argnames="kernel")
turned = jax.jit(warp.rotation, static_argnums=(1, 2))
every_kernel = pytest.mark.parametrize("kernel", PEERS, ids=lambda k: k.__name__)


@pytest.fixture(scope="module")
def image():
    generator = np.random.default_rng(0)
    return generator.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


def assert_like_pillow(found, wanted, kernel):
    """Places are float32 here, and means are rounded down, of float64 there."""
    gap = abs(np.asarray(found, int) - np.asarray(wanted, int)).max(-1)
    if kernel is warp.nearest:
        assert (gap > 0).sum() <= 1  # of 540, on the border of two pixels
    else:
        assert gap.max() <= 1
        assert (gap > 0).mean() < 0.3  # whole numbers, at shares such as 0.3 and 0.2


@every_kernel
@pytest.mark.parametrize(
    ("matrix", "peer"),
    [
        (warp.shear_x(0.21), (1, 0.21, 0, 0, 1, 0)),
        (warp.shear_x(-0.3), (1, -0.3, 0, 0, 1, 0)),
        (warp.shear_y(0.17), (1, 0, 0, 0.17, 1, 0)),
        (warp.translation(5.3, 0), (1, 0, 5.3, 0, 1, 0)),
        (warp.translation(0.5, -3.9), (1, 0, 0.5, 0, 1, -3.9)),
        (warp.translation(40, 0), (1, 0, 40, 0, 1, 0)),
    ],
)
def test_warps_match_pillow(image, kernel, matrix, peer):
    found = apply(image, matrix, jnp.uint8(FILL), kernel=kernel)
    assert found.dtype == np.uint8
    wanted = Image.fromarray(image).transform(
        (WIDTH, HEIGHT),
        Image.Transform.AFFINE,
        peer,
        PEERS[kernel],
        fillcolor=FILL,
    )
    assert_like_pillow(found, wanted, kernel)


@every_kernel
@pytest.mark.parametrize("degrees", [0, 6.7, -15, 30, 143])
def test_rotations_match_pillow(image, kernel, degrees):
    matrix = turned(degrees, HEIGHT, WIDTH)
    found = apply(image, matrix, jnp.uint8(FILL), kernel=kernel)
    wanted = Image.fromarray(image).rotate(degrees, PEERS[kernel], fillcolor=FILL)
    assert_like_pillow(found, wanted, kernel)


@every_kernel
def test_a_grey_image_is_one_channel(image, kernel):
    matrix = turned(11, HEIGHT, WIDTH)
    colours = apply(image, matrix, jnp.uint8([9, 9, 9]), kernel=kernel)
    grey = apply(image[..., 1:2], matrix, jnp.uint8([9]), kernel=kernel)
    np.testing.assert_array_equal(grey, colours[..., 1:2])


@every_kernel
def test_weights_of_a_kernel_sum_to_1_and_keep_a_line(kernel):
    behind = np.linspace(0, 0.99, 34, dtype=np.float32)
    mixed = kernel(behind)
    np.testing.assert_allclose(sum(0 * behind + w for _, w in mixed), 1, rtol=1e-6)
    if kernel is warp.bilinear:
        line = sum(step * weight for step, weight in mixed)
        np.testing.assert_allclose(line, behind, atol=1e-6)
