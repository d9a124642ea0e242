"""What cannot be sorted: one line that names it, before anything is trained."""

import dataclasses

import numpy as np
import pytest
from PIL import Image
from test_clustering import config_of
from tiny import quiet

from ltjax.clustering import story
from ltjax.config import Classifier, Data, Linear, P2ot, ResNet, Sgd, limits
from ltjax.mistake import Mistake

ROWS = np.arange(60.0).reshape(20, 3)


def refused(config, told):
    with pytest.raises(Mistake, match=told) as caught:
        limits.check(config)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"objective": P2ot(memory=8)}, "objective.memory is 8; it must be at least"),
        ({"objective": P2ot(memory=16, start=0.0)}, "objective.start is 0.0"),
        ({"objective": P2ot(memory=16, end=1.5)}, "objective.end is 1.5"),
        ({"objective": P2ot(start=0.9, end=0.5)}, "objective.start is 0.9; it must be"),
        ({"objective": P2ot(epsilon=0.0)}, "objective.epsilon is 0.0"),
        ({"objective": P2ot(scan=(2, 3))}, "objective.scan is .2, 3."),
        ({"model": ResNet(head=Linear())}, "model.head is Linear"),
        ({"classifier": Classifier(methods=("crt",))}, "classifier.methods is"),
        ({"data": Data(source="features", path="x")}, "data.classes is None"),
        ({"data": Data(source="features", path="x", classes=1)}, "data.classes is 1"),
        ({"data": Data(source="features", classes=3)}, "data.path is None"),
        ({"data": Data(source="digits")}, "model is Given, of features as they are"),
    ],
)
def test_settings_that_do_not_go_together(changes, told):
    refused(config_of("x", **changes), told)


def test_clusters_beyond_the_memory():
    data = Data(source="features", path="x", classes=100)
    refused(config_of("x", data=data), "data.classes is 100; it must be at most")


def test_labels_are_not_learned_from_where_there_are_none():
    from ltjax.config import Config, CrossEntropy

    data = Data(source="unlabelled", path="x", classes=3)
    config = Config(data=data, objective=CrossEntropy())
    refused(config, "objective is CrossEntropy, which learns from labels")


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({"image": ROWS}, "has no member 'feature'; it has image"),
        ({"feature": ROWS[0]}, r"'feature' is float64 of shape \(3,\)"),
        ({"feature": ROWS + np.inf}, "'feature' is not finite in row 0"),
        ({"feature": ROWS, "label": np.arange(3)}, r"'label' is int64 of shape \(3,\)"),
        ({"feature": ROWS[:2]}, "data.classes is 3 of 2 images"),
        ({"feature": np.ones((20, 3))}, "holds one image 20 times"),
        ({"feature": np.ones((20, 0))}, r"of shape \(20, 0\), wanted numbers"),
    ],
)
def test_features_that_are_none(tmp_path, arrays, told):
    np.savez(tmp_path / "set.npz", **arrays)
    with pytest.raises(Mistake, match=told) as caught:
        story.planned(config_of(tmp_path / "set.npz"), tmp_path / "run", quiet())
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_archive(tmp_path):
    (tmp_path / "set.npz").write_bytes(b"nothing")
    with pytest.raises(Mistake, match="is not an"):
        story.planned(config_of(tmp_path / "set.npz"), tmp_path / "run", quiet())
    with pytest.raises(Mistake, match="does not exist; did you mean"):
        story.planned(config_of(tmp_path / "sets.npz"), tmp_path / "run", quiet())


def test_a_folder_without_images_or_of_broken_ones(tmp_path):
    config = config_of(
        tmp_path, data=Data(source="unlabelled", path=str(tmp_path / "p"), classes=2)
    )
    config = dataclasses.replace(config, model=ResNet(head=config.model.head))
    (tmp_path / "p").mkdir()
    with pytest.raises(Mistake, match="p has no images, wanted some"):
        story.planned(config, tmp_path / "run", quiet())
    (tmp_path / "p/a.png").write_bytes(b"nothing")
    with pytest.raises(Mistake, match="p has no image that can be read"):
        story.planned(config, tmp_path / "run", quiet())
    for name in "bc":
        Image.new("RGB", (9, 9)).save(tmp_path / f"p/{name}.png")
    with pytest.raises(Mistake, match="holds one image 2 times"):
        story.planned(config, tmp_path / "run", quiet())


def test_a_batch_of_more_than_all(tmp_path):
    np.savez(tmp_path / "set.npz", feature=ROWS)
    config = config_of(
        tmp_path / "set.npz", optim=Sgd(epochs=4, warmup_epochs=0, batch_size=32)
    )
    config = dataclasses.replace(
        config, swa=dataclasses.replace(config.swa, start=1), objective=P2ot()
    )
    with pytest.raises(Mistake, match="batch_size is 32; it must be at most"):
        story.planned(config, tmp_path / "run", quiet())
