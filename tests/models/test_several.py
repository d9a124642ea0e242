"""Several cosine heads against NumPy."""

import jax
import numpy as np

from ltjax.config import Several

RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(7, 6)).astype(np.float32)


def test_logits_are_cosines_and_the_first_head_is_linear():
    head = Several(count=3, scale=10.0).make(4)
    params = head.init(jax.random.key(0), FEATURES)["params"]
    assert jax.tree.map(np.shape, params) == {"kernel": (3, 6, 4)}  # and no gain
    kernel = np.asarray(params["kernel"], np.float64)
    np.testing.assert_allclose(np.linalg.norm(kernel, axis=1), 1, rtol=1e-5)
    moved = {"kernel": 3 * params["kernel"]}
    logits = head.apply({"params": moved}, FEATURES)
    unit = FEATURES / np.linalg.norm(FEATURES, axis=1, keepdims=True)
    wanted = 10 * np.einsum("nd,hdk->nhk", unit, kernel)
    np.testing.assert_allclose(logits, wanted, rtol=1e-5, atol=1e-5)
    linear = head.linear(moved)
    first = head.inputs(FEATURES) @ linear["kernel"] + linear["bias"][None]
    np.testing.assert_allclose(first, wanted[:, 0], rtol=1e-5, atol=1e-5)
