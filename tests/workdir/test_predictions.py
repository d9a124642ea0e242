import numpy as np
import pytest

from ltjax.data import longtail
from ltjax.evaluation import conformal, scores
from ltjax.workdir import predictions
from ltjax.workdir.predictions import Predicted


@pytest.mark.parametrize(
    ("classifiers", "shown"),
    [
        (("none", "crt", "la", "srepr"), ["none", "la", "srepr"]),
        (("none", "crt", "lws", "la_posthoc"), ["none", "crt", "la_posthoc"]),
        (("none", "ncm"), ["none", "ncm"]),
        (("none",), ["none"]),
        ((), []),
    ],
)
def test_no_re_training_comes_first_and_srepr_last(classifiers, shown):
    assert predictions.shown(classifiers) == shown
    assert predictions.shown(iter(classifiers)) == shown


def test_what_is_written_comes_back(tmp_path):
    rng = np.random.default_rng(0)
    predicted = {
        name: Predicted(
            rng.integers(0, 9, 5).astype(np.int32), rng.random(5).astype(np.float32)
        )
        for name in ("swa-none", "swa-la")
    }
    predictions.write(tmp_path, predicted)
    found = predictions.read(tmp_path)
    assert list(found) == list(predicted)
    for name, each in predicted.items():
        np.testing.assert_array_equal(found[name].label, each.label, strict=True)
        np.testing.assert_array_equal(found[name].confidence, each.confidence)
        assert found[name].sureness.keys() == {"confidence"}
    said = predicted["swa-la"]._replace(
        entropy=rng.random(5), disagreement=rng.random(5)
    )
    predictions.write(tmp_path, {"swa-la": said})
    (known,) = predictions.read(tmp_path).values()
    assert known.sureness.keys() == {"confidence", "entropy", "disagreement"}
    np.testing.assert_array_equal(known.sureness["entropy"], -said.entropy)
    predictions.write(tmp_path, {})
    assert predictions.read(tmp_path) == {}
    assert predictions.read(tmp_path / "none") == {}


@pytest.mark.parametrize("images", [1, 7, 1000, 1001])
def test_top_labels_do_not_depend_on_batches(images):
    logits = np.random.default_rng(1).normal(size=(1, images, 4)).astype(np.float32)

    def log_probs(z):
        return z[0] - np.log(np.exp(z[0]).sum(-1, keepdims=True))

    label, confidence, entropy = scores.top_labels(log_probs, logits)
    probs = np.exp(log_probs(logits))
    np.testing.assert_allclose(entropy, -(probs * np.log(probs)).sum(-1), rtol=1e-5)
    np.testing.assert_array_equal(label, probs.argmax(-1))
    np.testing.assert_allclose(confidence, probs.max(-1), rtol=1e-6)


def test_coverage_of_sets_is_left_out_where_images_are_too_few():
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 3, 200)
    logits = rng.normal(size=(1, 200, 3)) + 2 * np.eye(3)[labels]

    def log_probs(z):
        return z[0] - np.log(np.exp(z[0]).sum(-1, keepdims=True))

    counts = [200, 50, 5]
    found = scores.set_coverage(log_probs, logits, labels, longtail.groups(counts))
    groups = longtail.groups(counts)
    assert found == conformal.split_coverage(log_probs(logits), labels, groups, 0.9)
    # Nine images calibrate a coverage of 0.9, eight do not.
    assert scores.set_coverage(
        log_probs, logits[:, :18], labels[:18], longtail.groups(counts)
    )
    assert not scores.set_coverage(
        log_probs, logits[:, :17], labels[:17], longtail.groups(counts)
    )
