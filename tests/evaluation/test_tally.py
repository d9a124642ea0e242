import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ltjax import evaluation
from ltjax.evaluation.tally import Tally, empty, tally

C, N = 6, 103
jitted = jax.jit(tally)


def draw(seed=0):
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=2, size=(N, C))
    labels = rng.integers(0, C - 1, size=N)  # the last class has no image
    log_probs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return log_probs.astype(np.float32), labels


def reference(log_probs, labels, bins):
    """The sums, image by image in float64."""
    total = {name: np.zeros(C) for name in ("count", "correct", "nll", "brier")}
    for name in ("bin_count", "bin_correct", "bin_confidence"):
        total[name] = np.zeros((C, bins))
    for row, label in zip(log_probs.astype(np.float64), labels):
        probs = np.exp(row)
        hit = row.argmax() == label
        place = int(np.ceil(probs.max() * bins)) - 1
        total["count"][label] += 1
        total["correct"][label] += hit
        total["nll"][label] -= row[label]
        total["brier"][label] += ((probs - np.eye(C)[label]) ** 2).sum()
        total["bin_count"][label, place] += 1
        total["bin_correct"][label, place] += hit
        total["bin_confidence"][label, place] += probs.max()
    return Tally(**total)


def assert_close(found, expected, rtol=1e-5):
    chex.assert_trees_all_equal_shapes(found, expected)
    for name in expected.__dataclass_fields__:
        np.testing.assert_allclose(
            getattr(found, name), getattr(expected, name), rtol, 1e-6, err_msg=name
        )


@pytest.mark.parametrize("bins", [15, 4])
def test_tally_matches_a_loop_over_images(bins):
    log_probs, labels = draw()
    found = tally(log_probs, labels, np.ones(N), bins)
    chex.assert_type(jax.tree.leaves(found), jnp.float32)
    assert_close(found, reference(log_probs, labels, bins))


def test_tallies_of_padded_batches_add_to_the_whole():
    log_probs, labels = draw()
    size = 16
    batches = -(-N // size)
    spare = batches * size - N
    assert spare > 0
    # Padding of the nastiest kind, which the mask must keep out.
    log_probs_padded = np.concatenate([log_probs, np.full((spare, C), np.nan)])
    labels_padded = np.concatenate([labels, np.full(spare, -1)])
    mask = np.arange(batches * size) < N
    total = empty(C)
    for i in range(batches):
        rows = slice(i * size, (i + 1) * size)
        total += jitted(log_probs_padded[rows], labels_padded[rows], mask[rows])
    assert_close(total, jitted(log_probs, labels, np.ones(N, bool)))
    np.testing.assert_array_equal(total.count, np.bincount(labels, minlength=C))


@pytest.mark.parametrize("label", [-1, 0, C, 10**6])
def test_masked_rows_count_for_nothing(label):
    log_probs, labels = draw()
    mask = np.arange(N) % 3 != 0
    filled = np.where(mask[:, None], log_probs, np.inf)
    found = jitted(filled, np.where(mask, labels, label), mask)
    assert_close(found, reference(log_probs[mask], labels[mask], 15))


def test_empty_is_the_identity():
    log_probs, labels = draw()
    whole = jitted(log_probs, labels, np.ones(N, bool))
    chex.assert_trees_all_equal_shapes_and_dtypes(empty(C), whole)
    chex.assert_trees_all_equal(empty(C) + whole, whole)
    chex.assert_trees_all_equal(whole + empty(C), whole)
    nothing = jitted(log_probs, labels, np.zeros(N, bool))
    chex.assert_trees_all_equal(nothing, empty(C))
    assert empty(3, bins=4).bin_count.shape == (3, 4)


def test_tally_agrees_with_the_scores_per_example():
    log_probs, labels = draw()
    found = jitted(log_probs, labels, np.ones(N, bool))
    probs = np.exp(log_probs)
    for name, scores in (
        ("correct", evaluation.accuracy(log_probs, labels)),
        ("nll", evaluation.nll(log_probs, labels)),
        ("brier", evaluation.brier(probs, labels)),
    ):
        expected = np.bincount(labels, np.asarray(scores), minlength=C)
        np.testing.assert_allclose(getattr(found, name), expected, rtol=1e-5)
    gap = np.asarray(found.bin_correct - found.bin_confidence).sum(0)
    expected = evaluation.ece(probs, labels)
    np.testing.assert_allclose(np.abs(gap).sum() / N, expected, rtol=1e-5)


def test_permuting_the_classes_permutes_the_sums():
    log_probs, labels = draw()
    order = np.array([3, 0, 5, 4, 1, 2])
    ones = np.ones(N, bool)
    found = jitted(log_probs[:, order], np.argsort(order)[labels], ones)
    whole = jitted(log_probs, labels, ones)
    assert_close(found, jax.tree.map(lambda x: x[order], whole))


def test_a_mixtures_log_mean_probability_fits():
    members = np.stack([draw(seed)[0] for seed in range(3)])
    _, labels = draw()
    mixture = jax.nn.logsumexp(members, axis=0) - np.log(3)
    found = jitted(mixture, labels, np.ones(N, bool))
    probs = np.exp(members.astype(np.float64)).mean(0)
    assert_close(found, reference(np.log(probs), labels, 15))


def test_an_impossible_label_costs_its_own_class_only():
    log_probs = np.array([[0.0, -np.inf], [-0.5, -0.9]], np.float32)
    found = tally(log_probs, np.array([1, 0]), np.ones(2))
    np.testing.assert_array_equal(found.nll, np.float32([0.5, np.inf]))


def test_labels_and_mask_of_other_shapes_are_refused():
    log_probs, labels = draw()
    with pytest.raises(AssertionError):
        tally(log_probs, labels[:1], np.ones(N))
    with pytest.raises(AssertionError):
        tally(log_probs, labels, np.ones(1))


def test_jit_traces_once_and_scan_carries_the_tally():
    log_probs, labels = draw()
    chex.clear_trace_counter()
    traced = chex.assert_max_traces(tally, 1)

    def body(total, batch):
        return total + traced(*batch), None

    batches = (log_probs[:100].reshape(10, 10, C), labels[:100].reshape(10, 10))
    batches = (*batches, np.ones((10, 10), bool))
    scan = jax.jit(functools.partial(jax.lax.scan, body))
    scan(empty(C), batches)
    total, _ = scan(empty(C), batches)
    assert_close(total, reference(log_probs[:100], labels[:100], 15))


def test_vmap_over_models():
    log_probs, labels = draw()
    other, _ = draw(1)
    ones = np.ones(N, bool)
    both = jax.vmap(tally, (0, None, None))(np.stack([log_probs, other]), labels, ones)
    assert_close(jax.tree.map(lambda x: x[1], both), jitted(other, labels, ones))
