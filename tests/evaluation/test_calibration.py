import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ltjax import evaluation
from ltjax.evaluation import calibration
from ltjax.evaluation.calibration import confidence_bin


def draw(shape=(500,), C=7, scale=2.0, seed=0):
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=scale, size=(*shape, C))
    gumbel = rng.gumbel(size=logits.shape)
    # Nearly calibrated, so that some bins are over-confident and some the reverse.
    labels = (0.9 * logits + gumbel).argmax(-1)
    probs = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    return logits, probs.astype(np.float32), labels


def reference_ece(probs, labels, bins):
    confidence = probs.max(-1).astype(np.float64)
    right = probs.argmax(-1) == labels
    total = 0.0
    for i in range(bins):
        inside = (confidence > i / bins) & (confidence <= (i + 1) / bins)
        if inside.any():
            gap = right[inside].mean() - confidence[inside].mean()
            total += inside.mean() * abs(gap)
    return total


def binary(confidences):
    """Two-class probabilities whose top label, class 0, has these confidences."""
    first = np.asarray(confidences, np.float32)
    return np.stack([first, 1 - first], axis=-1)


@pytest.mark.parametrize("shape", [(), (20,), (2, 3, 4)])
def test_per_example_scores_match_numpy(shape):
    logits, probs, labels = draw(shape)
    right = logits.argmax(-1) == labels
    truth = np.eye(7)[labels]
    log_probs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    found = evaluation.nll(logits, labels)
    expected = -(log_probs * truth).sum(-1)
    np.testing.assert_allclose(found, expected, rtol=5e-6, atol=1e-6)
    found = evaluation.brier(probs, labels)
    np.testing.assert_allclose(found, ((probs - truth) ** 2).sum(-1), rtol=2e-6)
    found = evaluation.accuracy(logits, labels)
    np.testing.assert_array_equal(found, right)
    assert found.dtype == jnp.float32
    assert found.shape == shape


def test_nll_of_saturated_logits_has_no_epsilon():
    logits = np.array([[0.0, 500.0], [500.0, 0.0]])
    np.testing.assert_array_equal(evaluation.nll(logits, np.array([0, 0])), [500, 0])


def test_brier_at_its_limits():
    probs = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1 / 3, 1 / 3, 1 / 3]])
    found = evaluation.brier(probs, np.array([0, 0, 0]))
    np.testing.assert_allclose(found, [0, 2, 2 / 3], rtol=1e-6)


def test_brier_matches_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    _, probs, labels = draw()
    probs = probs.astype(np.float64)
    probs /= probs.sum(-1, keepdims=True)
    expected = metrics.brier_score_loss(
        labels, probs, labels=np.arange(7), scale_by_half=False
    )
    found = evaluation.brier(probs, labels).mean()
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("bins", [1, 10, 15, 100])
def test_ece_matches_numpy(bins):
    _, probs, labels = draw()
    found = evaluation.ece(probs, labels, bins)
    assert found.shape == ()
    expected = reference_ece(probs, labels, bins)
    assert expected > 0.001
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_ece_has_15_bins_unless_told():
    _, probs, labels = draw()
    found = evaluation.ece(probs, labels)
    np.testing.assert_allclose(found, reference_ece(probs, labels, 15), rtol=1e-4)
    assert abs(found - evaluation.ece(probs, labels, 10)) > 1e-4


@pytest.mark.filterwarnings("ignore")
def test_ece_matches_netcal():
    netcal = pytest.importorskip("netcal.metrics")
    _, probs, labels = draw(C=4)
    expected = netcal.ECE(bins=15).measure(probs, labels)
    np.testing.assert_allclose(evaluation.ece(probs, labels), expected, atol=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_ece_matches_torchmetrics():
    functional = pytest.importorskip("torchmetrics.functional.classification")
    torch = pytest.importorskip("torch")
    _, probs, labels = draw(C=4)
    assert probs.max() < 1  # at confidence 1 torchmetrics opens a bin of its own
    expected = functional.multiclass_calibration_error(
        torch.tensor(probs), torch.tensor(labels), num_classes=4, n_bins=15, norm="l1"
    )
    found = evaluation.ece(probs, labels)
    np.testing.assert_allclose(found, float(expected), atol=1e-6)


def test_ece_of_certain_predictions_is_in_the_last_bin():
    # Bin (14/15, 1]: confidences 1, 1, 0.95, of which 2 of 3 are right.
    probs = binary([1.0, 1.0, 0.95])
    labels = np.array([0, 1, 0])
    expected = abs(2 / 3 - 2.95 / 3)
    np.testing.assert_allclose(evaluation.ece(probs, labels), expected, rtol=1e-5)
    # All certain, half wrong; all certain and right.
    found = evaluation.ece(binary([1.0, 1.0]), np.array([0, 1]))
    np.testing.assert_allclose(found, 0.5)
    assert evaluation.ece(binary([1.0, 1.0]), np.array([0, 0])) == 0


def test_an_edge_belongs_to_the_bin_below():
    # Edge 0.6 of 5 bins. Below: right at 0.6 and wrong at 0.59, which share (0.4, 0.6];
    # were 0.6 to open the bin above, the gaps would be 0.4 and 0.59 instead.
    probs, labels = binary([0.6, 0.59]), np.array([0, 1])
    shared = abs(1 - 1.19) / 2
    np.testing.assert_allclose(evaluation.ece(probs, labels, 5), shared, rtol=1e-5)
    # Just above the edge it is in the bin above.
    above = np.nextafter(np.float32(0.6), np.float32(1))
    apart = (0.4 + 0.59) / 2
    found = evaluation.ece(binary([above, 0.59]), labels, 5)
    np.testing.assert_allclose(found, apart, rtol=1e-5)


@pytest.mark.parametrize("bins", [1, 7, 15, 49])
def test_every_edge_is_closed_from_below(bins):
    edges = (np.arange(1, bins + 1) / bins).astype(np.float32)
    np.testing.assert_array_equal(confidence_bin(edges, bins), np.arange(bins))
    above = np.nextafter(edges[:-1], np.float32(2))
    np.testing.assert_array_equal(confidence_bin(above, bins), np.arange(1, bins))
    # A softmax may round to just above 1.
    assert confidence_bin(np.nextafter(np.float32(1), np.float32(2)), bins) == bins - 1


def test_scores_do_not_depend_on_the_order_of_classes():
    logits, probs, labels = draw()
    order = np.random.default_rng(1).permutation(7)
    moved = np.argsort(order)[labels]
    for score, values in (
        (evaluation.nll, logits),
        (evaluation.brier, probs),
        (evaluation.accuracy, logits),
        (evaluation.ece, probs),
    ):
        found = score(values[:, order], moved)
        np.testing.assert_allclose(found, score(values, labels), rtol=1e-5, atol=1e-6)


def test_labels_of_another_shape_are_refused():
    logits, probs, labels = draw()
    for score in (evaluation.nll, evaluation.accuracy):
        with pytest.raises(AssertionError):
            score(logits, labels[:, None])
    for score in (evaluation.brier, evaluation.ece):
        with pytest.raises(AssertionError):
            score(probs, labels[:1])


@pytest.mark.parametrize("name", ["nll", "brier", "accuracy", "ece"])
def test_jit_traces_once(name):
    score = getattr(evaluation, name)
    _, probs, labels = draw()
    chex.clear_trace_counter()
    jitted = jax.jit(chex.assert_max_traces(score, 1))
    jitted(probs[::-1], labels)
    expected = score(probs, labels)
    np.testing.assert_allclose(jitted(probs, labels), expected, rtol=1e-5, atol=1e-6)


def test_ece_under_vmap():
    _, probs, labels = draw((3, 100))
    found = jax.vmap(evaluation.ece)(probs, labels)
    expected = [reference_ece(p, y, 15) for p, y in zip(probs, labels)]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_temperature_has_the_lowest_nll():
    logits, _, labels = draw(scale=3.0)
    found = float(evaluation.temperature(logits, labels))

    def mean_nll(temperature):
        scaled = logits / temperature
        top = scaled.max(-1, keepdims=True)
        log_norm = np.log(np.exp(scaled - top).sum(-1)) + top[:, 0]
        return (log_norm - scaled[np.arange(len(labels)), labels]).mean()

    grid = np.exp(np.linspace(np.log(0.2), np.log(5), 4001))
    best = grid[np.argmin([mean_nll(t) for t in grid])]
    # The grid's step is 0.08 %.
    np.testing.assert_allclose(found, best, rtol=1e-3)


@pytest.mark.parametrize("factor", [0.25, 1.0, 8.0])
def test_temperature_scales_with_the_logits_and_ignores_shifts(factor):
    logits, _, labels = draw()
    base = float(evaluation.temperature(logits, labels))
    shifted = factor * logits + np.arange(len(logits))[:, None] / 100
    found = float(jax.jit(evaluation.temperature)(shifted, labels))
    np.testing.assert_allclose(found, factor * base, rtol=1e-4)


def test_temperature_is_bounded_and_survives_lowered_classes():
    logits, _, labels = draw(C=3)
    sure = 5.0 * np.eye(3)[labels]
    assert float(evaluation.temperature(sure, labels)) == pytest.approx(1e-3, rel=1e-3)
    lowered = np.concatenate([logits, np.full((len(logits), 1), -1e4)], -1)
    np.testing.assert_allclose(
        evaluation.temperature(lowered, labels),
        evaluation.temperature(logits, labels),
        rtol=1e-5,
    )


def test_adaptive_bins_hold_equally_many():
    _, probs, labels = draw()
    confidence, right = probs.max(-1), probs.argmax(-1) == labels
    order = np.argsort(confidence)
    wanted = 0.0
    for part in np.array_split(order, 15):
        gap = right[part].mean() - confidence[part].astype(np.float64).mean()
        wanted += len(part) / len(labels) * abs(gap)
    found = calibration.adaptive_ece(confidence, right)
    assert found == pytest.approx(wanted, abs=1e-12)
    # With a bin for all it is how far they are off in the mean.
    gap = right.mean() - confidence.astype(np.float64).mean()
    assert calibration.adaptive_ece(confidence, right, 1) == pytest.approx(abs(gap))
    assert calibration.adaptive_ece([], []) is None


def test_adaptive_bins_do_not_depend_on_the_order_of_equals():
    rng = np.random.default_rng(3)
    confidence, right = rng.integers(1, 5, 100) / 5, rng.random(100) < 0.6
    found = calibration.adaptive_ece(confidence, right)
    at = rng.permutation(100)
    moved = calibration.adaptive_ece(confidence[at], right[at])
    assert moved == pytest.approx(found, abs=1e-12)


def test_class_ece_is_the_mean_over_classes_of_one_against_the_others():
    _, probs, labels = draw(scale=3.0)
    wanted = []
    for c in range(7):
        total, of = 0.0, probs[:, c].astype(np.float64)
        for i in range(15):
            inside = (of > i / 15) & (of <= (i + 1) / 15) | ((i == 0) & (of == 0))
            total += abs(((labels == c)[inside] - of[inside]).sum())
        wanted.append(total / len(labels))
    gaps = calibration.class_gaps(probs, labels)
    parts = [
        calibration.class_gaps(probs[at], labels[at])
        for at in (slice(200), slice(200, None))
    ]
    np.testing.assert_allclose(sum(parts), gaps, atol=1e-12)
    found = calibration.class_ece(gaps, len(labels))
    assert found == pytest.approx(np.mean(wanted), abs=1e-9)
    assert calibration.class_ece(gaps, 0) is None
