import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ltjax.losses import routing

loss = jax.jit(jax.value_and_grad(routing.loss))


def draw(B=40, E=4, C=5):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(B, E, C)).astype(np.float32)
    return logits, rng.integers(0, C, B), rng.normal(size=(B, E - 1))


def reference_targets(logits, labels):
    B, E, _ = logits.shape
    right = np.array(
        [[logits[b, : i + 1].mean(0).argmax() == labels[b] for i in range(E)]
         for b in range(B)]
    )  # fmt: skip
    pairs = [(b, i) for b in range(B) for i in range(E - 1)]
    found = [not right[b, i] and right[b, i + 1 :].any() for b, i in pairs]
    return np.array(found).reshape(B, E - 1)


def reference_routed(logits, scores):
    """Image by image, expert by expert, as one would without batches."""
    means, counts = [], []
    for row, asks in zip(logits.astype(np.float64), scores):
        used = [row[0]]
        for i in range(1, len(row)):
            if 1 / (1 + np.exp(-asks[i - 1])) <= 0.5:
                break
            used.append(row[i])
        means.append(np.mean(used, axis=0))
        counts.append(len(used))
    return np.array(means), np.array(counts)


def test_targets_match_a_loop():
    logits, labels, _ = draw()
    wanted = reference_targets(logits, labels)
    assert 0 < wanted.sum() < wanted.size
    np.testing.assert_array_equal(jax.jit(routing.targets)(logits, labels), wanted)


def test_a_right_answer_never_asks_and_a_hopeless_one_neither():
    right, wrong = np.eye(3)[[0, 1, 0]], np.eye(3)[[1, 2, 1]]
    found = routing.targets(3 * np.stack([right, wrong]), np.array([0, 0]))
    np.testing.assert_array_equal(found, np.zeros((2, 2), bool))


def test_loss_equals_its_equation():
    logits, labels, scores = draw()
    targets = reference_targets(logits, labels)
    likely = 1 / (1 + np.exp(-scores))
    wanted = -100 * targets * np.log(likely) - ~targets * np.log(1 - likely)
    slope = 100 * targets * (likely - 1) + ~targets * likely
    value, gradient = loss(np.float32(scores), targets)
    np.testing.assert_allclose(value, wanted.mean(0).sum() / 3, rtol=1e-6)
    np.testing.assert_allclose(gradient, slope / slope.size, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("weight", [1.0, 20.0])
def test_loss_of_extreme_scores(weight):
    scores = jnp.array([[1e3], [-1e3], [1e3], [-1e3]])
    targets = np.array([[True], [True], [False], [False]])
    value, gradient = loss(scores, targets, weight)
    assert value == pytest.approx((1e3 * weight + 1e3) / 4)
    np.testing.assert_allclose(gradient[:, 0], [0, -weight / 4, 0.25, 0])


def test_routing_matches_a_loop():
    logits, _, scores = draw()
    means, counts = reference_routed(logits, scores)
    assert set(counts) == {1, 2, 3, 4}
    np.testing.assert_array_equal(jax.jit(routing.asked)(scores), counts)
    found = jax.jit(routing.routed)(logits, scores)
    np.testing.assert_allclose(found, means, rtol=1e-5, atol=1e-6)


def test_an_expert_that_said_stop_is_final():
    scores = np.array([[0.0, 5.0, 5.0], [1.0, -1.0, 5.0], [1.0, 1.0, 1.0]])
    np.testing.assert_array_equal(routing.asked(scores), [1, 2, 4])


def test_mean_cost_of_the_authors_example():
    """40.99, 9.47 and 49.54 % of CIFAR-100's images ask 1, 2 and 3 experts."""
    asked = np.repeat([1, 2, 3], [4099, 947, 4954])
    found = routing.mean_cost(asked, [49.48, 74.92, 100.36])
    assert found == pytest.approx(77.1, abs=0.05)


def test_one_expert_has_no_router():
    with pytest.raises(ValueError, match="at least 2 experts, found 1"):
        routing.targets(np.zeros((2, 1, 3)), np.zeros(2, int))
