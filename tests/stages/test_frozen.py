"""Parts that do not train run once, and a run of outputs is that of the images."""

import dataclasses
import functools
import io
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console
from tiny import timeless

from ltjax.config import (
    Augment,
    Classifier,
    Config,
    Cosine,
    CrossEntropy,
    Data,
    Frozen,
    LogitAdjusted,
    Mdcs,
    Posterior,
    ResNet,
    Sgd,
    Swa,
    limits,
)
from ltjax.mistake import Mistake
from ltjax.models import resnet, weights
from ltjax.models.heads import Cosine as Head
from ltjax.run import run
from ltjax.stages import frozen, loading, trained
from ltjax.workdir import feature_file

pytestmark = pytest.mark.usefixtures("compiled_once")

RNG = np.random.default_rng(0)
WHOLE = resnet.resnet10(width=8)


@pytest.fixture(scope="module", autouse=True)
def narrow():
    with pytest.MonkeyPatch.context() as patch:
        whole = functools.partial(resnet.resnet10, width=8)
        patch.setattr(resnet, "resnet10", whole)
        yield


def tensors():
    shapes = jax.eval_shape(
        WHOLE.init, jax.random.key(0), np.zeros((1, 16, 16, 3), np.float32)
    )

    def leaf(path, like):
        if path[-1].key in ("scale", "var"):
            return RNG.uniform(0.5, 1.5, like.shape).astype(np.float32)
        scale = np.sqrt(2 / np.prod(like.shape[:-1]))
        return (scale * RNG.normal(size=like.shape)).astype(np.float32)

    like = {kind: {"features": tree} for kind, tree in shapes.items()}
    return weights.to_tensors(jax.tree.map_with_path(leaf, like))


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    place = tmp_path_factory.mktemp("place")
    weights.write(place / "resnet10.npz", tensors())
    for name, count in (("train", 12), ("test", 2)):
        label = np.repeat(np.arange(2), count)
        image = RNG.integers(0, 120, (len(label), 16, 16, 3))
        image = (image + 90 * label[:, None, None, None]).astype(np.uint8)
        np.savez(place / f"{name}.npz", image=image, label=label)
    return Config(
        name="frozen",
        data=Data(
            source="npz",
            train=str(place / "train.npz"),
            test=str(place / "test.npz"),
            imbalance_factor=2,
        ),
        model=ResNet(
            name="resnet10",
            pretrained=str(place / "resnet10.npz"),
            trained=("layer4", "head"),
            head=Cosine(scale=8.0, start="means"),
        ),
        objective=LogitAdjusted(),
        frozen=Frozen(views=2, dtype="float32"),
        optim=Sgd(epochs=3, warmup_epochs=0, batch_size=6),
        swa=Swa(start=1, rank=2),
        posterior=Posterior(samples=1),
        classifier=Classifier(methods=("la",), epochs=1, views=1),
    )


@pytest.fixture(scope="module")
def done(config, tmp_path_factory):
    out, shown = tmp_path_factory.mktemp("runs") / "out", io.StringIO()
    results = run(config, out, Console(file=shown, width=500))
    return out, results, shown.getvalue()


def losses(out):
    lines = (Path(out) / "metrics.jsonl").read_text().splitlines()
    import json

    events = map(json.loads, lines)
    return [event["loss"] for event in events if event["event"] == "epoch"]


def test_a_run_of_outputs_is_that_of_the_images(config, done, tmp_path):
    """Where nothing is augmented all views are the images as they are."""
    out, results, shown = done
    plain = dataclasses.replace(config, frozen=Frozen())
    wanted = run(plain, tmp_path / "plain", Console(quiet=True))
    np.testing.assert_allclose(losses(out), losses(tmp_path / "plain"), rtol=1e-4)
    for row, other in zip(results["rows"], wanted["rows"], strict=True):
        assert row["acc"] == other["acc"]
        np.testing.assert_allclose(row["nll"], other["nll"], rtol=1e-3)
    # 20 images three times, and four that are tested, of 2 x 2 x 32 numbers.
    files = sorted(file.stem for file in frozen_files(out))
    assert files == ["test", "train", "train0", "train1"]
    train = feature_file.loaded(out / "checkpoints/features/frozen/train.npy")
    assert train.shape == (1, 18, 1, 1, 32)
    assert "outputs of what does not train: 0 on disk" in shown


def frozen_files(out):
    return (out / "checkpoints/features/frozen").glob("*.npy")


def test_it_goes_on_with_what_was_kept(config, done, tmp_path):
    import shutil

    out, results, _ = done
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    (copy / "results.json").unlink()
    shutil.rmtree(copy / "checkpoints" / "swa" / "3")
    times = {file: file.stat().st_mtime_ns for file in frozen_files(copy)}
    assert timeless(run(config, copy, Console(quiet=True))) == timeless(results)
    assert times == {file: file.stat().st_mtime_ns for file in frozen_files(copy)}


def test_new_images_have_the_features_that_the_run_saw(config, done):
    out, _, _ = done
    opened = trained.read(out, "swa")
    images = loading.load(config.data).test.image
    seen = trained.features(opened, 1)(images)
    known = trained.test_features(opened)
    np.testing.assert_allclose(seen, known, rtol=1e-4, atol=1e-4 * known.max())


def test_outputs_in_half_as_many_bytes_are_close(config, done, tmp_path):
    out, _results, _ = done
    half = dataclasses.replace(
        config, frozen=Frozen(views=1), augment=Augment(flip=True)
    )
    run(half, tmp_path / "half", Console(quiet=True))
    one, other = (
        feature_file.loaded(place / "checkpoints/features/frozen/train.npy")
        for place in (out, tmp_path / "half")
    )
    assert other.dtype == jnp.bfloat16
    np.testing.assert_allclose(other.astype(np.float32), one, rtol=2**-8)
    view = feature_file.loaded(tmp_path / "half/checkpoints/features/frozen/train0.npy")
    same = (view == other).all((0, 2, 3, 4))
    assert 0 < same.sum() < len(same)  # some were mirrored


def test_views_are_drawn_for_each_image():
    outputs = np.arange(5 * 4).reshape(5, 4, 1)
    drawn = np.asarray(frozen.drawn(jax.random.key(0), outputs))
    assert drawn.shape == (5, 1, 1)
    views = drawn[:, 0, 0] - 4 * np.arange(5)
    assert set(views) <= {1, 2, 3}
    assert len(set(views)) > 1
    np.testing.assert_array_equal(frozen.drawn(jax.random.key(1), drawn), drawn)
    np.testing.assert_array_equal(frozen.first(outputs), outputs[:, 0])


def test_outputs_stand_for_images():
    views = tuple(np.arange(12).reshape(6, 2) + 100 * i for i in range(3))
    outputs = frozen.Outputs(views, np.arange(6))
    assert outputs.shape == (6, 3, 2)
    few = outputs[np.array([4, 1])]
    assert len(few) == 2
    np.testing.assert_array_equal(few.plain(0), [[8, 9]])
    rng = np.random.default_rng(0)
    seen = {int(few.augmented(rng, 1)[0, 0]) for _ in range(20)}
    assert seen == {102, 202}


def test_columns_along_the_means_of_their_classes():
    head = Head(3, scale=2.0, at_means=True)
    params = {"kernel": RNG.normal(size=(4, 3)).astype(np.float32)}
    means = np.array([[0.0, 3.0, 0.0, 4.0], [0, 0, 0, 0], [np.nan] * 4])
    found = np.asarray(head.begun(params, means)["kernel"])
    length = np.linalg.norm(params["kernel"][:, 0])
    np.testing.assert_allclose(found[:, 0], length * means[0] / 5, rtol=1e-6)
    np.testing.assert_array_equal(found[:, 1:], params["kernel"][:, 1:])


def test_the_head_began_at_the_means(config, done, tmp_path):
    """Without a step the row of stage one is that of the nearest mean, by angles."""
    slow = dataclasses.replace(
        config,
        optim=dataclasses.replace(config.optim, lr=1e-12),
        swa=dataclasses.replace(config.swa, lr=1e-12),
        classifier=Classifier(methods=(), views=1),
    )
    run(slow, tmp_path / "slow", Console(quiet=True))
    opened = trained.read(tmp_path / "slow", "sgd")
    kernel = np.asarray(opened.weights.mean["head"]["kernel"])
    data = loading.load(config.data)
    folder = tmp_path / "slow/checkpoints/features/frozen/train.npy"
    outputs = np.asarray(feature_file.loaded(folder)[0], np.float32)
    state = WHOLE.copy(first=4)
    variables = {
        "params": opened.weights.mean["features"],
        "batch_stats": begun_statistics(config),
    }
    seen = np.asarray(state.apply(variables, outputs), np.float64)
    seen /= np.linalg.norm(seen, axis=1, keepdims=True)
    for label in range(2):
        mean = seen[data.train.label == label].mean(0)
        cosine = mean @ kernel[:, label]
        cosine /= np.linalg.norm(mean) * np.linalg.norm(kernel[:, label])
        assert cosine > 1 - 1e-6


def begun_statistics(config):
    from ltjax.models import pretrained

    known = pretrained.read(config.model.pretrained, WHOLE, config.model.trained)
    return known.features["batch_stats"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"model": ResNet(name="resnet10")},
            "frozen.views is 2, and everything trains; name what does by model.trained",
        ),
        (
            {"objective": CrossEntropy(mixup=0.2)},
            "frozen.views is 2, and objective.mixup is 0.2, which takes images",
        ),
    ],
)
def test_settings_that_do_not_go_together(config, changes, words):
    with pytest.raises(Mistake) as caught:
        limits.check(dataclasses.replace(config, **changes))
    assert words in str(caught.value)


def test_nothing_before_what_trains_is_told(config, tmp_path):
    model = dataclasses.replace(config.model, trained=("conv1", "head"))
    with pytest.raises(Mistake, match=r"names a layer of the first part"):
        run(
            dataclasses.replace(config, model=model),
            tmp_path / "x",
            Console(quiet=True),
        )
    assert not (tmp_path / "x").exists()


def test_several_views_of_an_image_are_told(config):
    from types import SimpleNamespace

    several = SimpleNamespace(
        fixed={"trunk": {"params": 1}},
        objective=SimpleNamespace(views=("weak", "strong")),
    )
    assert Mdcs  # whose views these are
    with pytest.raises(Mistake, match="as weak and strong; outputs are kept of one"):
        frozen.check(config, several)
