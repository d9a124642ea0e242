"""Pretrained weights, and runs that leave a part of them alone."""

import dataclasses
import functools
import io
import json
import shutil

import jax
import numpy as np
import pytest
from rich.console import Console
from tiny import timeless

from ltjax.config import Classifier, Config, Data, Posterior, ResNet, Sgd, Swa
from ltjax.mistake import Mistake
from ltjax.models import pretrained, resnet, weights
from ltjax.run import run
from ltjax.stages import start as starts
from ltjax.stages import trained
from ltjax.stages.loading import load
from ltjax.workdir import checkpoint

pytestmark = pytest.mark.usefixtures("compiled_once")

RNG = np.random.default_rng(0)
WHOLE = resnet.resnet10(width=8)
IMAGES = RNG.normal(size=(2, 16, 16, 3)).astype(np.float32)


def random_tensors():
    shapes = jax.eval_shape(WHOLE.init, jax.random.key(0), IMAGES)

    def leaf(path, like):
        scale = np.sqrt(2 / np.prod(like.shape[:-1]))
        if path[-1].key in ("scale", "var"):
            return RNG.uniform(0.5, 1.5, like.shape).astype(np.float32)
        return scale * RNG.normal(size=like.shape).astype(np.float32)

    like = {kind: {"features": tree} for kind, tree in shapes.items()}
    return weights.to_tensors(jax.tree.map_with_path(leaf, like))


TENSORS = random_tensors()


@pytest.fixture(scope="module", autouse=True)
def narrow():
    """Networks have an eighth of their channels everywhere but in the stem."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("resnet10", "resnet50"):
            whole = getattr(resnet, name)
            patch.setattr(resnet, name, functools.partial(whole, width=8))
        yield


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "resnet10.npz"
    weights.write(path, {**TENSORS, "fc.weight": np.zeros((7, 64), np.float32)})
    return path


def test_frozen_and_trained_parts_are_the_file(file):
    everything = pretrained.read(file, WHOLE)
    assert everything.below == {}
    wanted = WHOLE.apply(everything.features, IMAGES)
    words = (
        ("layer1", "bn2"),
        ("layer2", "layer4", "head"),
        ("layer3",),
        ("layer4",),
        ("head",),
    )
    for first, named in enumerate(words, 1):
        found = pretrained.read(file, WHOLE, named)
        assert found.first == first
        inputs = found.trunk(found.below, IMAGES)
        upper = WHOLE.copy(first=first)
        np.testing.assert_array_equal(upper.apply(found.features, inputs), wanted)
        names = set(found.below["params"]), set(found.features["params"])
        assert names[0].isdisjoint(names[1])
        assert names[0] | names[1] == set(everything.features["params"])
        assert {name[:6] for name in names[1]} == {
            f"layer{part}" for part in range(first, 5)
        }


def test_the_digest_is_of_the_weights_not_of_the_file(file, tmp_path):
    found = pretrained.read(file, WHOLE).digest
    assert pretrained.read(file, WHOLE, ("layer3",)).digest == found
    weights.write(tmp_path / "no_head.npz", TENSORS)
    assert pretrained.read(tmp_path / "no_head.npz", WHOLE).digest == found
    moved = {**TENSORS, "bn1.bias": np.nextafter(TENSORS["bn1.bias"], np.float32(9))}
    weights.write(tmp_path / "moved.npz", moved)
    assert pretrained.read(tmp_path / "moved.npz", WHOLE).digest != found


def test_features_begin_with_the_file_and_the_head_does_not(file):
    model = ResNet(name="resnet10", pretrained=str(file))
    found = starts.of(model, 5, 3).pretrained
    new = jax.jit(model.make(5).init)(jax.random.key(1), IMAGES)
    got = pretrained.begin(new, found)
    assert jax.tree.structure(got) == jax.tree.structure(new)
    tensors = weights.to_tensors(got)
    for name, tensor in TENSORS.items():
        np.testing.assert_array_equal(tensors[name], tensor)
    np.testing.assert_array_equal(
        got["params"]["head"]["kernel"], new["params"]["head"]["kernel"]
    )
    same = pretrained.begin(new, pretrained.none())
    assert jax.tree.leaves(same) == jax.tree.leaves(new)


def test_grey_images_do_not_fit(file):
    model = ResNet(name="resnet10", pretrained=str(file))
    message = r"'conv1.weight' has shape \[64, 3, 7, 7\], wanted \[64, 1, 7, 7\]"
    with pytest.raises(Mistake, match=message):
        starts.of(model, 5, 1)


# A run


@pytest.fixture(scope="module")
def done(file, tmp_path_factory):
    place = tmp_path_factory.mktemp("place")
    for name, count in (("train", 12), ("test", 2)):
        label = np.repeat(np.arange(2), count)
        image = RNG.integers(0, 120, (len(label), 16, 16, 3))
        image = (image + 90 * label[:, None, None, None]).astype(np.uint8)
        np.savez(place / f"{name}.npz", image=image, label=label)
    config = Config(
        name="frozen",
        data=Data(
            source="npz",
            train=str(place / "train.npz"),
            test=str(place / "test.npz"),
            imbalance_factor=2,
            manifest="places_lt",
            allow_mismatch=True,
        ),
        model=ResNet(name="resnet10", pretrained=str(file), trained=("layer4", "head")),
        optim=Sgd(epochs=3, warmup_epochs=0, batch_size=6, weight_decay=0.1),
        swa=Swa(start=1, rank=2),
        posterior=Posterior(samples=1),
        classifier=Classifier(methods=()),
    )
    shown = io.StringIO()
    results = run(config, place / "out", Console(file=shown, width=500))
    return config, place / "out", results, shown.getvalue()


@pytest.mark.parametrize("name", ["sgd", "swa"])
def test_the_frozen_part_is_not_trained_and_the_rest_is(done, file, name):
    _, out, _, _ = done
    state, posterior = checkpoint.load_as_saved(out / "checkpoints" / name / "3")
    begin = pretrained.read(file, WHOLE, ("layer4", "head")).features
    trained = state["params"]["features"]
    assert set(trained) == {"layer4_0"}
    assert set(state["batch_stats"]["features"]) == {"layer4_0"}
    for kind, tree in (
        ("params", trained),
        ("batch_stats", state["batch_stats"]["features"]),
    ):
        moved = jax.tree.map(lambda a, b: (a != b).all(), tree, begin[kind])
        assert all(jax.tree.leaves(moved))
    if name == "swa":
        assert set(posterior["deviations"]["features"]) == {"layer4_0"}


def test_a_mismatch_is_told_and_recorded(done):
    _, out, results, shown = done
    difference = "there are 2 classes, the manifest says 365"
    assert f"data.manifest places_lt, mismatch allowed: {difference}" in shown
    found = json.loads((out / "results.json").read_text())["dataset"]["manifest"]
    assert found["difference"] == difference
    assert found == results["dataset"]["manifest"]


def test_it_goes_on_where_it_stopped(done, tmp_path):
    config, out, results, _ = done
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    (copy / "results.json").unlink()
    shutil.rmtree(copy / "checkpoints" / "features")
    shutil.rmtree(copy / "checkpoints" / "swa" / "3")
    assert timeless(run(config, copy, Console(quiet=True))) == timeless(results)


def test_it_is_opened_again_without_its_file(done):
    config, out, _, _ = done
    stored = trained.held(out, "sgd", config, load(config.data))
    assert len(stored.plain) == len(stored.data.train.label)


def test_other_weights_are_another_run(done, tmp_path):
    config, out, _, _ = done
    moved = {**TENSORS, "bn1.bias": TENSORS["bn1.bias"] + 1}
    weights.write(tmp_path / "moved.npz", moved)
    model = dataclasses.replace(config.model, pretrained=str(tmp_path / "moved.npz"))
    with pytest.raises(Mistake, match="its pretrained weights were others"):
        run(dataclasses.replace(config, model=model), out, Console(quiet=True))


def test_weights_for_another_network_leave_no_folder(done, tmp_path):
    config, _, _, _ = done
    model = dataclasses.replace(config.model, name="resnet50")
    with pytest.raises(Mistake, match=r"has no tensor 'layer1\.0\.bn3"):
        run(
            dataclasses.replace(config, model=model),
            tmp_path / "new",
            Console(quiet=True),
        )
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("named", "leaves"),
    [
        (("head",), set()),
        (("layer4_0/bn2", "head"), {"scale", "bias"}),
    ],
    ids=["head", "norm"],
)
def test_less_than_a_part_may_train(done, file, tmp_path, named, leaves):
    config, _, _, _ = done
    model = dataclasses.replace(config.model, trained=named)
    config = dataclasses.replace(config, model=model)
    results = run(config, tmp_path / "x", Console(quiet=True))
    state, posterior = checkpoint.load_as_saved(tmp_path / "x/checkpoints/swa/3")
    whole = (state["params"], posterior["mean"], posterior["deviations"])
    for tree in whole:
        assert set(tree["head"]) == {"kernel", "bias"}
        inside = tree["features"]["layer4_0"]["bn2"] if leaves else tree["features"]
        assert set(inside) == leaves
    # Opened again, new images have the features that the run saw.
    opened = trained.read(tmp_path / "x", "swa")
    images = load(config.data).test.image
    seen = trained.features(opened, 1)(images)
    known = trained.test_features(opened)
    np.testing.assert_allclose(seen, known, rtol=1e-4, atol=1e-4 * known.max())
    # A head of chance would have half.
    assert results["rows"][0]["acc"]["all"] >= 75


def test_a_part_that_is_not_there_leaves_no_folder(done, tmp_path):
    config, _, _, _ = done
    model = dataclasses.replace(config.model, trained=("layer5", "head"))
    message = (
        "model.trained has 'layer5', which is in no name of the network; its parts are "
        "bn1, conv1, head, layer1_0, layer2_0, layer3_0, layer4_0"
    )
    with pytest.raises(Mistake, match=message):
        run(
            dataclasses.replace(config, model=model),
            tmp_path / "new",
            Console(quiet=True),
        )
    assert not (tmp_path / "new").exists()
