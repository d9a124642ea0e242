"""Runs without labels: features and images in clusters, and back to classes."""

import csv
import dataclasses

import jax
import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score
from tiny import Thin, quiet, strict_json, timeless

from ltjax.classifier import linear
from ltjax.clustering import bridge, scan, story
from ltjax.config import (
    Augment,
    CifarResNet,
    Classifier,
    Config,
    Data,
    Given,
    P2ot,
    Posterior,
    Several,
    Sgd,
    Sp2ot,
    Swa,
)
from ltjax.evaluation import clusters
from ltjax.main import main
from ltjax.mistake import Mistake
from ltjax.predict.__main__ import main as predict
from ltjax.report.__main__ import main as report
from ltjax.runtime.stopping import Stopped

COUNTS = (40, 12, 6)
RNG = np.random.default_rng(0)
LABELS = RNG.permutation(np.repeat(np.arange(3), COUNTS))
FEATURES = 3 * np.eye(3, 5)[LABELS] + RNG.normal(size=(58, 5))

pytestmark = pytest.mark.usefixtures("compiled_once")


def config_of(path, objective=None, **fields):
    return dataclasses.replace(
        Config(
            name="sorted",
            data=Data(source="features", path=str(path), classes=3),
            model=Given(head=Several(count=2)),
            augment=Augment(pad=0, flip=False),
            objective=objective or P2ot(memory=40),
            optim=Sgd(lr=0.3, epochs=4, warmup_epochs=0, batch_size=16),
            swa=Swa(start=1, lr=0.1, rank=2),
            posterior=Posterior(samples=2),
            classifier=Classifier(methods=(), views=None),
        ),
        **fields,
    )


def rows_of(file):
    with open(file, newline="") as text:
        return list(csv.DictReader(text))


@pytest.fixture(scope="module")
def of_features(tmp_path_factory, hastily):
    place = tmp_path_factory.mktemp("features")
    np.savez(place / "set.npz", feature=FEATURES, label=LABELS)
    with hastily():
        results = story.run(config_of(place / "set.npz"), place / "run", quiet())
    return place, results


def test_rows_and_their_scores(of_features):
    place, results = of_features
    kept = strict_json((place / "run/results.json").read_text())
    assert timeless(kept) == timeless(results)
    found = rows_of(place / "run/clusters.csv")
    assert list(found[0]) == ["index", "cluster", "weight", "margin", "agreement"]
    assert [int(row["index"]) for row in found] == list(range(58))
    _, swa, _ = results["rows"]
    assert [row["backbone"] for row in results["rows"]] == ["sgd", "swa", "swag"]
    # The file is of the mean of SWA.
    cluster = np.array([int(row["cluster"]) for row in found])
    scores = clusters.scores(LABELS, cluster, 3)
    told = swa["scores"]
    assert scores == {name: told[name] for name in scores}
    assert told["groups"]["many"] is None
    recalls = clusters.recall(LABELS, clusters.match(LABELS, cluster, 3)[cluster], 3)
    np.testing.assert_allclose(told["groups"]["medium"], recalls[0])
    np.testing.assert_allclose(told["groups"]["few"], recalls[1:].mean())
    sizes = np.bincount(cluster, minlength=3)
    assert results["dataset"]["counts"] == sizes.tolist()
    assert (swa["used"], swa["largest"]) == ((sizes > 0).sum(), sizes.max())
    weights = np.array([float(row["weight"]) for row in found])
    np.testing.assert_allclose(weights.mean(), 0.5, atol=1e-3)
    agreement = np.array([float(row["agreement"]) for row in found])
    np.testing.assert_allclose(swa["agreement"], agreement.mean(), atol=1e-4)
    wrong = clusters.match(LABELS, cluster, 3)[cluster] != LABELS
    if told["auroc"] is not None:
        wanted = roc_auc_score(wrong, 1 - agreement)
        np.testing.assert_allclose(told["auroc"], wanted)


def test_features_that_lie_apart_are_found_apart(of_features):
    _, results = of_features
    assert results["rows"][0]["scores"]["accuracy"] > 0.8


def test_features_that_all_point_one_way_are_centred(tmp_path):
    # Equal classes around a point that is far from the origin.
    labels = np.arange(60) % 3
    rng = np.random.default_rng(2)
    apart = 3 * np.eye(3, 5)[labels] + 0.5 * rng.normal(size=(60, 5))
    found = []
    for number, (far, centred) in enumerate(((0, True), (1000, True), (1000, False))):
        np.savez(tmp_path / f"{number}.npz", feature=apart + far, label=labels)
        config = config_of(tmp_path / f"{number}.npz")
        model = dataclasses.replace(config.model, centred=centred)
        config = dataclasses.replace(config, model=model)
        results = story.run(config, tmp_path / f"run{number}", quiet())
        found.append(results["rows"][0]["scores"]["accuracy"])
    assert found[0] == found[1] > 0.9
    assert found[2] < 0.7


def test_labels_decide_nothing(of_features, tmp_path):
    place, results = of_features
    np.savez(tmp_path / "set.npz", feature=FEATURES)
    blind = story.run(config_of(tmp_path / "set.npz"), tmp_path / "run", quiet())
    assert not any("scores" in row for row in blind["rows"])
    wanted = (place / "run/clusters.csv").read_text()
    assert (tmp_path / "run/clusters.csv").read_text() == wanted
    assert blind["heads"] == results["heads"]
    page = (tmp_path / "run/report.html").read_text()
    assert "Clusters by size" in page
    assert "balanced is" in page


def test_a_stopped_run_goes_on_to_the_same(of_features, tmp_path):
    place, _ = of_features
    config = config_of(place / "set.npz")
    with pytest.raises(Stopped):
        story.run(config, tmp_path / "run", quiet(), stopping=iter([0, 0, 75]).__next__)
    story.run(config, tmp_path / "run", quiet())
    wanted = (place / "run/clusters.csv").read_text()
    assert (tmp_path / "run/clusters.csv").read_text() == wanted


def test_a_finished_run_is_told_again(of_features):
    place, results = of_features
    again = story.run(config_of(place / "set.npz"), place / "run", quiet())
    assert timeless(again) == timeless(results)


def test_the_better_head_is_the_first(of_features):
    place, results = of_features
    from ltjax.stages import clusters as stages

    losses = stages.head_losses(place / "run", "sgd")
    assert results["heads"]["sgd"] == losses.tolist()
    tree = {"head": {"kernel": np.arange(12.0).reshape(2, 3, 2)}, "other": np.ones(3)}
    moved = stages.first(tree, 1)
    np.testing.assert_array_equal(moved["head"]["kernel"][0], tree["head"]["kernel"][1])
    np.testing.assert_array_equal(moved["other"], tree["other"])


def test_doors_of_labels_say_that_there_are_none(of_features, capsys):
    place, _ = of_features
    assert report([str(place / "run")]) == 2
    told = capsys.readouterr().err
    assert "holds a run without labels, whose page is" in told
    assert len(told.splitlines()) == 1
    words = ["--config", "clusters:features", "--data.path", str(place / "set.npz")]
    assert main([*words, "--out", str(place / "several"), "--seeds", "0,1"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("ltjax: --seeds is for runs with labels")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder of images of three colours, none of them with a label."""
    place = tmp_path_factory.mktemp("photos")
    for number, label in enumerate(LABELS):
        colour = 40 + 170 * np.eye(3)[label] + RNG.integers(0, 40, (9, 9, 3))
        folder = place / "album" / f"{number % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(colour.astype(np.uint8))
        image.save(folder / f"{number:02}.png")
    (place / "album/broken.png").write_bytes(b"nothing")
    return place


@pytest.fixture(scope="module")
def of_images(photos, tmp_path_factory, hastily):
    out = tmp_path_factory.mktemp("images") / "run"
    with pytest.MonkeyPatch.context() as patch, hastily():
        patch.setattr(CifarResNet, "body", lambda model: Thin())
        config = config_of(
            photos,
            Sp2ot(memory=40, neighbours=4),
            data=Data(source="unlabelled", path=str(photos), size=8, classes=3),
            model=CifarResNet(depth=8, width=4, head=Several(count=2)),
        )
        results = story.run(config, out, quiet())
        code = predict([str(out), str(photos), "--out", str(out / "again.csv")])
    return out, results, code


def test_a_folder_is_sorted_and_new_images_are(of_images):
    out, results, code = of_images
    found = rows_of(out / "clusters.csv")
    assert len(found) == results["dataset"]["train"] == 58
    assert found[0]["path"].startswith("album/0/")
    (skipped,) = strict_json((out / "skipped.json").read_text())
    assert skipped["path"] == "album/broken.png"
    # Predicted again, they are in the same clusters.
    assert code == 0
    again = {row["path"]: row["label"] for row in rows_of(out / "again.csv")}
    assert again.pop("album/broken.png") == ""
    assert {row["path"]: row["cluster"] for row in found} == again
    page = (out / "report.html").read_text()
    assert "Images of each cluster" in page
    assert page.count("<img") >= min(58, 3)


def test_named_clusters_are_labels_of_a_supervised_run(of_images, photos, tmp_path):
    out, results, _ = of_images
    used = np.flatnonzero(results["dataset"]["counts"])[:2]
    names = tmp_path / "names.csv"
    names.write_text(f"cluster,class\n{used[0]},red\n{used[1]},blue\n")
    made = photos / "labels.csv"
    images, classes = bridge.labelled(out, names, made)
    found = rows_of(made)
    assert (len(found), classes) == (images, 2)
    assert images == sum(results["dataset"]["counts"][at] for at in used)
    from ltjax.stages import loading

    data = Data(source="csv", path=str(made), size=8, test_per_class=1)
    whole = loading.load(data, quiet())
    assert whole.class_names == ("blue", "red")
    assert len(whole.train.label) + len(whole.test.label) == images
    # Only the surest ones; and no file in another folder than the images'.
    made.unlink()
    weights = {label: [] for label in ("red", "blue")}
    for row in found:
        weights[row["label"]].append(float(row["weight"]))
    least = min(map(max, weights.values()))
    fewer, _ = bridge.labelled(out, names, made, least=least)
    assert fewer == sum(float(row["weight"]) >= least for row in found)
    made.unlink()
    with pytest.raises(Mistake, match="does not lie above the images"):
        bridge.labelled(out, names, tmp_path / "labels.csv")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("cluster,class\n9,red\n", "line 2: cluster is '9'; there are 0 to 2"),
        ("cluster,class\n0,red\n0,blue\n", "line 3: cluster 0 is named twice"),
        ("a,b\n", "has the columns a, b; wanted cluster and class"),
    ],
)
def test_names_that_name_nothing_are_told(tmp_path, text, told):
    (tmp_path / "names.csv").write_text(text)
    with pytest.raises(Mistake, match=told):
        bridge.named(tmp_path / "names.csv", 3)


def test_a_head_learns_labels_as_much_as_they_weigh():
    key = jax.random.key(0)
    wrong = np.where(np.arange(58) % 3 == 0, (LABELS + 1) % 3, LABELS)
    weights = (wrong == LABELS).astype(np.float32)
    head = bridge.head(key, FEATURES, wrong, weights, 3, epochs=40)
    found = linear.logits(head, np.float32(FEATURES)).argmax(-1)
    alone = bridge.head(key, FEATURES, wrong, np.ones(58), 3, epochs=40)
    other = linear.logits(alone, np.float32(FEATURES)).argmax(-1)
    assert (found == LABELS).mean() > max(0.9, (other == LABELS).mean())


CLEAR = 3 * np.eye(3, 5)[LABELS] + 0.2 * RNG.normal(size=(58, 5))


def test_the_number_of_clusters_is_that_of_the_largest_silhouette():
    told = []
    assert scan.chosen((2, 3, 6), CLEAR, told.append) == 3
    assert len(told) == 4
    with pytest.raises(Mistake, match="has 58 clusters of 58 images"):
        scan.chosen((2, 58), FEATURES, told.append)


def test_a_run_may_seek_the_number(tmp_path):
    np.savez(tmp_path / "set.npz", feature=CLEAR)
    objective = P2ot(memory=40, scan=(2, 3))
    data = Data(source="features", path=str(tmp_path / "set.npz"))
    config = config_of("", objective, data=data)
    config, found, *_ = story.planned(config, tmp_path / "run", quiet())
    assert (config.data.classes, found.data.classes, config.objective.scan) == (
        3,
        3,
        (),
    )
