import jax
import numpy as np

from ltjax.classifier import linear


def test_logits_match_numpy_for_any_leading_shape():
    rng = np.random.default_rng(0)
    head = {"kernel": rng.normal(size=(5, 4)), "bias": rng.normal(size=4)}
    head = {name: leaf.astype(np.float32) for name, leaf in head.items()}
    kernel, bias = (head[name].astype(np.float64) for name in ("kernel", "bias"))
    features = rng.normal(size=(2, 3, 5)).astype(np.float32)
    for z in (features, features[0], features[0, 0]):
        found = jax.jit(linear.logits)(head, z)
        np.testing.assert_allclose(found, z @ kernel + bias, rtol=1e-5, atol=1e-6)


def test_a_new_head_has_columns_of_length_one_on_average():
    head = linear.init(jax.random.key(0), dim=64, classes=4000)
    squares = (np.asarray(head["kernel"], np.float64) ** 2).sum(0)
    # chi-squared with 64 degrees of freedom over 64: variance 2/64 per column
    assert abs(squares.mean() - 1) < 5 * np.sqrt(2 / 64 / 4000)
    assert abs(np.asarray(head["kernel"]).mean()) < 5 / np.sqrt(64 * 64 * 4000)
    assert not np.asarray(head["bias"]).any()
    again = linear.init(jax.random.key(0), dim=64, classes=4000)
    np.testing.assert_array_equal(head["kernel"], again["kernel"])
