"""Classifiers folded into one layer; whole networks for PyTorch."""

import json
import runpy
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ltjax.classifier import heads
from ltjax.config import (
    Aglu,
    CifarResNet,
    Classifier,
    Config,
    Experts,
    Linear,
    ResNet,
    Se,
)
from ltjax.export import card, tensors
from ltjax.mistake import Mistake
from ltjax.models import partition, pretrained, resnet, weights
from ltjax.posterior import swa
from ltjax.stages.trained import Trained
from ltjax.workdir.rows import Row

ROOT = Path(__file__).parents[2]
LOADER = str(ROOT / "examples" / "load_in_pytorch.py")
RNG = np.random.default_rng(0)
COUNTS = np.array([9, 4, 0, 1])


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


HEAD = {"kernel": normal(5, 4), "bias": normal(4)}
Z = normal(6, 5)
UNSEEN = np.array([0, 0, -1e4, 0])


def references():
    """Logits in float64 of each affine classifier with other weights than HEAD."""
    w, b, z = np.float64(HEAD["kernel"]), np.float64(HEAD["bias"]), np.float64(Z)
    new = {"kernel": normal(5, 4), "bias": normal(4)}
    raw, mine = z @ w + b, z @ np.float64(new["kernel"]) + new["bias"]
    scale = {"scale": normal(4)}
    prior = np.log(np.where(COUNTS > 0, COUNTS, 1) / 14)
    return {
        "none": (HEAD, raw),
        "crt": (new, mine),
        "lws": (scale, raw * scale["scale"]),
        "tau_norm": (None, z @ (w / np.linalg.norm(w, axis=0))),
        "la_posthoc": (HEAD, np.where(COUNTS > 0, raw - prior, raw - 1e4)),
        "la": (new, mine + UNSEEN),
        "srepr": (new, mine + UNSEEN),
    }


@pytest.mark.parametrize("name", references())
def test_affine_classifiers_fold_into_one_layer(name):
    made = heads.of_methods(
        Classifier(), jax.random.key(0), HEAD, None, COUNTS, draws=True
    )
    recipe = made[name, "c-mean" if name == "srepr" else ""]
    params, expected = references()[name]
    found = tensors.affine(recipe.logits, params or recipe.params, 5)
    assert {name: leaf.shape for name, leaf in found.items()} == {
        "kernel": (5, 4),
        "bias": (4,),
    }
    # The weights of an absent class are whole, though its logit is that of -1e4.
    folded = Z @ np.float64(found["kernel"]) + np.float64(found["bias"])
    np.testing.assert_allclose(folded, expected, rtol=1e-6, atol=1e-5)
    columns = np.linalg.lstsq(
        np.c_[Z, np.ones(6)], expected - UNSEEN * (name in ("la", "srepr")), rcond=None
    )[0][:-1]
    np.testing.assert_allclose(found["kernel"], columns, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["ncm", "disalign"])
def test_others_are_refused(name):
    row = Row("swa", name)
    with pytest.raises(Mistake, match=f"swa/{name} is not one linear layer.*--to onnx"):
        tensors.check(row)
    tensors.check(Row("swa", "la"))


PARTS = ("conv1", "conv2", "bn2", "downsample", "head")


def finished(model, image, classes):
    """A run that never was, of random weights, and its images."""
    whole = model.body()
    net = model.make(classes)
    like = jax.eval_shape(
        whole.init, jax.random.key(0), jax.ShapeDtypeStruct((1, *image), jnp.float32)
    )

    def leaf(path, like):
        name = path[-1].key
        if name == "kernel":
            return normal(*like.shape) * np.float32(
                (2 / np.prod(like.shape[:-1])) ** 0.5
            )
        low, high = (-0.2, 0.2) if name in ("bias", "mean") else (0.5, 1.5)
        return RNG.uniform(low, high, like.shape).astype(np.float32)

    features = jax.tree.map_with_path(leaf, like)
    trained, fixed = features, {"trunk": {}}
    if model.trained:  # above the stem and the first stage, and of these not bn1
        below, above = (
            {
                kind: {name: x for name, x in tree.items() if keep(name)}
                for kind, tree in features.items()
            }
            for keep in (
                lambda name: resnet.part(name) < 2,
                lambda name: resnet.part(name) >= 2,
            )
        )
        named = {kind: {"features": tree} for kind, tree in above.items()}
        own, given = partition.split(named, model.trained)
        trained = {kind: tree["features"] for kind, tree in own.items()}
        fixed = {"trunk": below, **given}
    dim = jax.eval_shape(
        whole.apply, features, jax.ShapeDtypeStruct((1, *image), jnp.float32)
    ).shape[-1]
    data = {
        "classes": classes,
        "mean": [0.3, 0.5, 0.4][: image[-1]],
        "std": [0.2, 0.3, 0.25][: image[-1]],
    }
    params = {
        "features": trained["params"],
        "head": {"kernel": normal(dim, classes), "bias": normal(classes)},
    }
    return Trained(
        out=None,
        config=Config(model=model),
        results={"dataset": data},
        backbone="swa",
        net=net,
        fixed=fixed,
        prepare=None,
        weights=swa.State(2, params),
        members=None,
        batch_stats=jax.tree.map(lambda x: x[None], trained["batch_stats"]),
    ), RNG.integers(0, 256, (3, *image)).astype(np.uint8)


def linear(params, z):
    return z @ params["kernel"] + jnp.broadcast_to(params["bias"], (len(z), 5))


@pytest.mark.usefixtures("compiled_once")
@pytest.mark.parametrize(
    ("model", "image"),
    [
        (CifarResNet(depth=14, width=6), (8, 8, 1)),
        (ResNet(name="resnet10", trained=PARTS), (32, 32, 3)),
    ],
    ids=["cifar", "resnet10"],
)
def test_pytorch_has_the_same_logits(tmp_path, model, image):
    torch = pytest.importorskip("torch")
    run, images = finished(model, image, 5)
    head = {"kernel": normal(*run.weights.mean["head"]["kernel"].shape)}
    head["bias"] = normal(5)
    about = {
        "model": {
            name: getattr(model, name)
            for name in ("name", "depth", "width")
            if hasattr(model, name)
        },
        "classes": list("abcde"),
        **{name: run.results["dataset"][name] for name in ("mean", "std")},
    }
    load = runpy.run_path(LOADER)["load"]
    for kind in ("npz", "safetensors"):
        if kind == "safetensors":
            pytest.importorskip("safetensors")
        name = f"model.{kind}"
        tensors.write(tmp_path / name, run, linear, head, json.dumps(about))
        about["files"] = {name: {}}
        (tmp_path / "export.json").write_text(json.dumps(about))
        known = tensors.logits(tmp_path / name, run, images)
        with torch.no_grad():
            theirs = load(tmp_path)(torch.from_numpy(images))
        # Of the largest: sums of 4,608 products in another order, in float32.
        limit = 2e-5 * np.abs(known).max()
        np.testing.assert_allclose(theirs, known, rtol=0, atol=limit)
    # The head that was written, not the one of stage one.
    assert np.abs(head["bias"]).max() > 0.1
    stored = weights.read(tmp_path / "model.npz")
    np.testing.assert_allclose(stored["fc.bias"], head["bias"], rtol=1e-6)
    np.testing.assert_allclose(stored["fc.weight"].T, head["kernel"], rtol=1e-6)
    if model.trained:
        # Words of which the first part is the one that `finished` begins with.
        words = ("layer2", "layer3", "layer4", "head")
        given = pretrained.read(tmp_path / "model.npz", model.body(), words)
        assert run.fixed["params"]["features"]["layer3_0"].keys() == {"bn1"}
        jax.tree.map(np.testing.assert_array_equal, given.below, run.fixed["trunk"])


def test_the_names_of_a_cifar_resnet():
    run, _ = finished(CifarResNet(depth=8, width=4), (8, 8, 1), 5)
    named = weights.to_tensors(tensors.variables(run, run.weights.mean["head"]))
    norm = ("bias", "running_mean", "running_var", "weight")
    blocks = [f"layer{stage}.0." for stage in (1, 2, 3)]
    layers = ["", *blocks]
    expected = {f"{at}{bn}.{leaf}" for at in layers for bn in ("bn1",) for leaf in norm}
    expected |= {f"{at}bn2.{leaf}" for at in blocks for leaf in norm}
    expected |= {f"{at}conv1.weight" for at in layers}
    expected |= {f"{at}conv2.weight" for at in blocks}
    assert named.keys() == expected | {"fc.weight", "fc.bias"}


@pytest.mark.parametrize("name", ["resnet50", "resnext101"])
def test_the_loader_is_torchvisions_layout(name):
    """Against the network that ours is compared to, layer by layer, in its own test."""
    torch = pytest.importorskip("torch")
    known = runpy.run_path(str(ROOT / "tests" / "models" / "test_resnet.py"))
    loader = runpy.run_path(LOADER)
    peer = known["peer"](torch, *known["LAYOUTS"][name], classes=5).eval()
    mean, std = [0.3, 0.5, 0.4], [0.2, 0.3, 0.25]
    model = loader["ResNet"]({"name": name}, 5, mean, std).eval()
    model.load_state_dict(peer.state_dict())
    images = torch.from_numpy(RNG.integers(0, 256, (1, 32, 32, 3)).astype(np.uint8))
    inputs = (images.double() / 255 - torch.tensor(mean)) / torch.tensor(std)
    with torch.no_grad():
        expected = peer(inputs.permute(0, 3, 1, 2).float())
        found = model(images)
    assert expected.abs().max() > 1e-3
    limit = 1e-5 * float(expected.abs().max())
    np.testing.assert_allclose(found, expected, rtol=0, atol=limit)


def test_timm_reads_the_names():
    torch = pytest.importorskip("torch")
    timm = pytest.importorskip("timm")
    loader = runpy.run_path(LOADER)
    shape = {"mean": [0.0] * 3, "std": [1 / 255] * 3}
    model = loader["ResNet"]({"name": "resnext50"}, 5, **shape).eval()
    theirs = timm.create_model(card.TIMM["resnext50"], num_classes=5).eval()
    theirs.load_state_dict(model.state_dict())
    images = torch.from_numpy(RNG.integers(0, 256, (2, 32, 32, 3)).astype(np.uint8))
    with torch.no_grad():
        expected = theirs(images.permute(0, 3, 1, 2).float())
        np.testing.assert_allclose(model(images), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (CifarResNet(gate=Se(reduction=4)), "model.gate is Se"),
        (ResNet(activation=Aglu()), "model.activation is Aglu"),
        (CifarResNet(shortcut="B"), "model.shortcut is 'B'"),
        (Experts(count=2), "model is of 2 experts"),
    ],
)
def test_networks_that_others_know_otherwise_are_refused(model, words):
    with pytest.raises(Mistake, match=words):
        tensors.check_network(model)
    tensors.check_network(CifarResNet(head=Linear()))
    tensors.check_network(ResNet())
