"""All mass at one set of weights."""

import jax
import numpy as np

from ltjax.posterior import point

WEIGHTS = {"a": np.array([1.0, 2.0]), "b": {"c": np.float32(3)}}


def test_every_draw_is_the_point_whatever_the_key_and_the_scale():
    state = point.init(WEIGHTS)
    for seed, scale in ((0, 0.0), (1, 1.0), (2, 100.0)):
        drawn = point.sample(jax.random.key(seed), state, scale)
        jax.tree.map(np.testing.assert_array_equal, drawn, WEIGHTS)


def test_nothing_is_kept_of_earlier_weights():
    other = jax.tree.map(lambda leaf: leaf + 1, WEIGHTS)
    state = point.update(point.init(WEIGHTS), other)
    jax.tree.map(np.testing.assert_array_equal, state.mean, other)
    assert len(jax.tree.leaves(state)) == len(jax.tree.leaves(WEIGHTS))
