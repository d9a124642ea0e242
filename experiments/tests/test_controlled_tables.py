"""The tables of made-up metadata and of clusters without labels."""

import argparse
import json

import clusters
import metadata
import numpy as np
import pytest

from ltjax.config import limits


def test_every_superclass_has_five_classes():
    assert np.bincount(metadata.SUPERCLASS).tolist() == [5] * 20


def test_what_is_told_of_a_share_is_told_of_a_larger_one_and_a_tenth_is_wrong():
    labels = np.arange(20_000) % 100
    none, some, whole = (metadata.told(labels, share, 0) for share in (0.0, 0.5, 1.0))
    assert not none.any()
    known = some.any(axis=1)
    np.testing.assert_allclose(known.mean(), 0.5, atol=0.02)  # 5 standard errors
    np.testing.assert_array_equal(some[known], whole[known])
    assert (whole.sum(axis=1) == 1).all()
    right = whole.argmax(axis=1) == metadata.SUPERCLASS[labels]
    np.testing.assert_allclose(right.mean(), 0.9, atol=0.011)
    # Wrong ones are spread over all others.
    assert len(np.unique(whole.argmax(axis=1)[~right])) == 20


@pytest.fixture
def images(tmp_path):
    """A file of 6 classes of 8 images, whose pixels tell which they are."""
    label = np.repeat(np.arange(6), 8)
    image = np.zeros((48, 32, 32, 3), np.uint8) + label[:, None, None, None]
    np.savez(tmp_path / "all.npz", image=image.astype(np.uint8), label=label)
    return tmp_path / "all.npz"


def test_the_files_of_a_share_are_the_images_and_what_is_told(images, tmp_path):
    given = argparse.Namespace(
        train=images, test=images, to=tmp_path / "to", share=1.0, classes=4, tested=3
    )
    metadata.write(given)
    with np.load(tmp_path / "to" / "train.npz", allow_pickle=False) as train:
        assert train["meta"].shape == (32, 20)
        np.testing.assert_array_equal(train["image"][:, 0, 0, 0], train["label"])
    with np.load(tmp_path / "to" / "test.npz", allow_pickle=False) as test:
        assert np.bincount(test["label"]).tolist() == [3] * 4


def test_halves_share_no_class_and_no_image(images):
    seen, others = clusters.halves(6)
    assert sorted([*seen, *others]) == list(range(6))
    for half in (seen, others):
        part = clusters.part(images, half, each=5)
        assert np.bincount(part["label"]).tolist() == [5] * 3
        np.testing.assert_array_equal(part["image"][:, 0, 0, 0], half[part["label"]])


def test_k_means_finds_groups_that_lie_apart(tmp_path):
    label = np.repeat(np.arange(3), (40, 12, 5))
    noise = np.random.default_rng(0).normal(0, 0.05, (57, 3))
    np.savez(tmp_path / "own.npz", feature=np.eye(3)[label] + noise, label=label)
    (row,) = clusters.kmeans(tmp_path / "own.npz", 3, seed=0)
    assert row["scores"]["balanced_accuracy"] == row["scores"]["nmi"] == 1
    assert json.loads(json.dumps(row)) == row


@pytest.mark.parametrize("method", clusters.OBJECTIVES)
def test_the_config_of_every_method_is_one_that_runs(method, tmp_path):
    options = argparse.Namespace(epochs=20, batch=256, memory=5120)
    config = clusters.config_of(options, method, tmp_path / "own.npz", 50, seed=0)
    limits.check(config)
    assert config.objective.memory == 5120
