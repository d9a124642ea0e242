import jax
import jax.numpy as jnp
import numpy as np

from ltjax.posterior import trees


def test_noise_has_the_tree_and_the_types_asked_for():
    tree = {
        "a": jnp.ones((3, 2), jnp.bfloat16),
        "b": [jnp.float32(5), np.zeros(4, np.float32)],
    }
    noise = trees.normal_like(jax.random.key(0), tree)
    assert jax.tree.structure(noise) == jax.tree.structure(tree)
    for drawn, leaf in zip(jax.tree.leaves(noise), jax.tree.leaves(tree)):
        assert drawn.shape == leaf.shape
        assert drawn.dtype == leaf.dtype


def test_noise_is_standard_normal_and_independent_between_leaves():
    tree = {name: jnp.zeros(20_000) for name in "abc"}
    noise = trees.normal_like(jax.random.key(1), tree)
    found = np.stack([np.asarray(leaf, np.float64) for leaf in noise.values()])
    # five standard errors of a mean and of a (co)variance
    np.testing.assert_allclose(found.mean(1), 0, atol=5 / np.sqrt(20_000))
    np.testing.assert_allclose(np.cov(found), np.eye(3), atol=5 * np.sqrt(2 / 20_000))
    again = trees.normal_like(jax.random.key(1), tree)
    np.testing.assert_array_equal(again["b"], noise["b"])


def test_arrays_are_compared_bit_for_bit_in_parts(monkeypatch):
    monkeypatch.setattr(trees, "_BLOCK", 50)  # two rows at a time
    array = np.arange(35, dtype=np.float32).reshape(7, 5)
    for other in (array.copy(), jnp.asarray(array)):
        assert trees.same_bits(other, array)
    for place in ((0, 0), (5, 4), (6, 2)):
        other = array.copy()
        other[place] = np.nextafter(other[place], 99, dtype=np.float32)
        assert not trees.same_bits(array, other)
    assert not trees.same_bits(np.zeros(3), -np.zeros(3))
    assert trees.same_bits(np.float32(np.nan), jnp.float32(np.nan))
