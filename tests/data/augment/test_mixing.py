"""Mixed images and their labels against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ltjax.data.augment import mixing

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (6, 9, 12, 3), np.uint8)
LABELS = np.array([0, 1, 4, 2, 2, 3])


def keys(number):
    return list(jax.random.split(jax.random.key(0), number))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("lam", [0.0, 0.3, 1.0, np.linspace(0, 1, 6)])
def test_targets(lam, smoothing):
    hot = np.eye(5)[LABELS] * (1 - smoothing) + smoothing / 5
    share = np.broadcast_to(lam, 6)[:, None]
    wanted = share * hot + (1 - share) * hot[::-1]
    found = mixing.targets(LABELS, 5, lam, smoothing)
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-6)


def test_mixup_is_a_weighted_mean():
    wanted = 0.7 * IMAGES.astype(float) + 0.3 * IMAGES[::-1].astype(float)
    found = mixing.mixup(IMAGES, 0.7)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_cutmix_is_a_box_and_its_share_is_counted():
    cut = jax.jit(mixing.cutmix)
    shares = set()
    for key in keys(40):
        lam = RNG.uniform()
        mixed, own = cut(key, IMAGES, lam)
        other = (np.asarray(mixed) != IMAGES).any(-1)
        # Where the two agree it cannot be seen: the box is that of all images.
        box = other.any(0)
        rows, columns = box.any(1), box.any(0)
        np.testing.assert_array_equal(box, rows[:, None] & columns[None])
        for line in (rows, columns):  # of neighbours
            assert np.abs(np.diff(line.astype(int))).sum() <= 2
        np.testing.assert_allclose(own, 1 - box.mean(), atol=1e-6)
        assert own >= lam - 1e-6  # cut off at the edge, and rounded down
        assert rows.sum() <= 9 * np.sqrt(1 - lam) + 1e-4
        np.testing.assert_array_equal(
            mixed, np.where(box[None, ..., None], IMAGES[::-1], IMAGES)
        )
        shares.add(float(own))
    assert len(shares) > 10


def test_of_both_one_is_taken_for_a_batch():
    mix = jax.jit(mixing.make(0.4, 1.0))
    kinds = []
    for key in keys(60):
        images, lam = mix(key, IMAGES)
        blended = not (np.isin(images, IMAGES)).all()
        kinds.append(blended)
        if blended:
            np.testing.assert_allclose(images, mixing.mixup(IMAGES, lam), rtol=1e-5)
    assert 15 < sum(kinds) < 45


@pytest.mark.parametrize(("mixup", "cutmix"), [(0.2, 0.0), (0.0, 1.0)])
def test_of_one_that_is_taken(mixup, cutmix):
    mix = jax.jit(mixing.make(mixup, cutmix))
    lams = np.array([float(mix(key, IMAGES)[1]) for key in keys(100)])
    assert ((lams >= 0) & (lams <= 1)).all()
    if mixup:  # most of Beta(0.2, 0.2) is at its ends
        assert ((lams < 0.1) | (lams > 0.9)).mean() > 0.4
        assert abs(lams.mean() - 0.5) < 0.15
