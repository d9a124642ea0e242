import json

import numpy as np
import pytest

from ltjax import evaluation
from ltjax.evaluation.groups import (
    balanced,
    group_ece,
    per_class_accuracy,
    summary,
)
from ltjax.evaluation.tally import empty, tally

C, N = 8, 400
ABSENT = (2, 6, 7)  # classes without test images
GROUPS = {
    "many": np.arange(C) < 3,
    "medium": (np.arange(C) >= 3) & (np.arange(C) < 6),
    "few": np.arange(C) >= 6,  # no class of it has test images
}


def draw():
    rng = np.random.default_rng(0)
    present = np.setdiff1d(np.arange(C), ABSENT)
    labels = rng.choice(present, p=[0.4, 0.3, 0.15, 0.1, 0.05], size=N)
    logits = rng.normal(scale=1.5, size=(N, C)) + 2.25 * np.eye(C)[labels]
    log_probs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return log_probs.astype(np.float32), labels


def made():
    log_probs, labels = draw()
    return tally(log_probs, labels, np.ones(N))


def reference_ece(probs, labels):
    confidence = probs.max(-1)
    right = probs.argmax(-1) == labels
    place = np.ceil(confidence * 15)
    return sum(
        (place == b).mean() * abs(np.mean((right - confidence)[place == b]))
        for b in np.unique(place)
    )


def test_per_class_accuracy_matches_numpy():
    log_probs, labels = draw()
    right = log_probs.argmax(-1) == labels
    expected = [
        right[labels == c].mean() if c not in ABSENT else np.nan for c in range(C)
    ]
    np.testing.assert_allclose(per_class_accuracy(made()), expected, rtol=1e-12)


def test_summary_matches_numpy():
    log_probs, labels = draw()
    probs = np.exp(log_probs.astype(np.float64))
    right = probs.argmax(-1) == labels
    found = summary(made(), GROUPS)

    def group(classes):
        return 100 * np.mean([right[labels == c].mean() for c in classes])

    assert list(found) == ["acc", "nll", "ece", "brier"]
    assert list(found["acc"]) == ["many", "medium", "few", "all"]
    assert found["acc"]["many"] == pytest.approx(group([0, 1]), rel=1e-12)
    assert found["acc"]["medium"] == pytest.approx(group([3, 4, 5]), rel=1e-12)
    assert found["acc"]["few"] is None
    assert found["acc"]["all"] == pytest.approx(100 * right.mean(), rel=1e-12)
    nll = -np.mean(log_probs[np.arange(N), labels], dtype=np.float64)
    assert found["nll"] == pytest.approx(nll, rel=1e-6)
    assert found["ece"] == pytest.approx(reference_ece(probs, labels), rel=1e-4)
    one_bin = abs(right.mean() - probs.max(-1).mean())
    assert found["ece"] > 1.1 * one_bin  # over- and under-confident bins do not cancel
    brier = np.square(probs - np.eye(C)[labels]).sum(-1).mean()
    assert found["brier"] == pytest.approx(brier, rel=1e-6)
    # The two kinds of accuracy are not the same figure here.
    assert abs(found["acc"]["all"] - group([0, 1, 3, 4, 5])) > 0.1


def test_summary_is_json_without_nan():
    found = summary(made(), GROUPS)
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_a_group_without_classes_has_no_accuracy():
    groups = {"many": np.ones(C, bool), "medium": np.zeros(C, bool)}
    found = summary(made(), groups)
    assert found["acc"]["medium"] is None
    assert found["acc"]["many"] > 0


def test_equal_class_sizes_make_all_the_mean_of_the_classes():
    log_probs, _ = draw()
    labels = np.arange(N) % C
    even = tally(log_probs, labels, np.ones(N))
    found = summary(even, {"every": np.ones(C, bool)})
    assert found["acc"]["every"] == pytest.approx(found["acc"]["all"], rel=1e-12)


def test_group_ece_matches_the_images_of_the_group():
    log_probs, labels = draw()
    probs = np.exp(log_probs)
    found = group_ece(made(), GROUPS)
    assert list(found) == ["many", "medium", "few"]
    assert found["few"] is None
    for name in ("many", "medium"):
        inside = GROUPS[name][labels]
        expected = evaluation.ece(probs[inside], labels[inside])
        assert found[name] == pytest.approx(float(expected), rel=1e-5)
    whole = group_ece(made(), {"every": np.ones(C, bool)})["every"]
    assert whole == summary(made(), {})["ece"]


def test_no_image_at_all_gives_no_figure():
    found = summary(empty(C), GROUPS)
    assert found == {
        "acc": dict.fromkeys(("many", "medium", "few", "all")),
        "nll": None,
        "ece": None,
        "brier": None,
    }
    assert set(group_ece(empty(C), GROUPS).values()) == {None}
    assert np.isnan(per_class_accuracy(empty(C))).all()


@pytest.mark.parametrize(
    "mask", [np.arange(C), np.ones(C + 1, bool), np.ones((), bool)]
)
def test_groups_that_are_no_mask_of_the_classes_are_refused(mask):
    with pytest.raises(ValueError, match=r"should be bool \(8,\)"):
        summary(made(), {"many": mask})


def test_balanced_is_the_mean_of_equally_many_images_of_each_class():
    log_probs, labels = draw()
    own = -log_probs.astype(np.float64)[np.arange(N), labels]
    right = log_probs.argmax(-1) == labels
    present = [c for c in range(C) if c not in ABSENT]
    found = balanced(made())
    assert found == {
        "nll": pytest.approx(np.mean([own[labels == c].mean() for c in present])),
        "acc": pytest.approx(
            100 * np.mean([right[labels == c].mean() for c in present])
        ),
    }
    # Who has more images has no more of a say.
    rows = np.concatenate([np.arange(N), *3 * [np.flatnonzero(labels == 0)]])
    more = tally(log_probs[rows], labels[rows], np.ones(len(rows)))
    assert balanced(more) == pytest.approx(found)
    assert balanced(empty(C)) == {"acc": None, "nll": None}
