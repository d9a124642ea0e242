"""Batch-norm statistics of a run: of augmented images, in batches from all over."""

import dataclasses

import jax
import numpy as np
import pytest
from PIL import Image
from tiny import quiet

from ltjax import run as story
from ltjax.config import Augment, CifarResNet, Config, Data, Posterior, Sgd
from ltjax.data.augment import geometry
from ltjax.data.dataset import Split
from ltjax.models.network import Network
from ltjax.posterior import batch_norm, members, point
from ltjax.representation import objective
from ltjax.stages import system as systems
from ltjax.stages.classifier import Outcome
from ltjax.stages.loader import columns, unlabelled, words_of
from ltjax.stages.resident import Resident

pytestmark = pytest.mark.usefixtures("compiled_once")
BATCH = 10


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    """Images of two classes, dark ones and bright ones; sorted, as folders are."""
    place = tmp_path_factory.mktemp("zoo")
    rng = np.random.default_rng(0)
    for at in range(36):
        path = place / ("a" if at < 24 else "b") / f"{at:02d}.png"
        path.parent.mkdir(exist_ok=True)
        pixels = rng.integers(0, 120, (8, 8, 3), np.uint8) + np.uint8(80 * (at >= 24))
        Image.fromarray(pixels).save(path)
    return place


def stages_of(zoo, out, monkeypatch, stream):
    """What the stages of a run would get: its system and its loader."""
    caught = []

    def stages(config, system, loader, folder):
        caught.extend((system, loader))
        return [Outcome([], {}, predicted={})]

    monkeypatch.setattr(story, "stages", stages)
    config = Config(
        data=Data(
            source="folder",
            path=str(zoo),
            size=8,
            test_per_class=4,
            stream=stream,
        ),
        augment=Augment(pad=2, flip=True),
        model=CifarResNet(depth=8, width=4),
        optim=Sgd(epochs=8, warmup_epochs=0, batch_size=8),
        posterior=Posterior(batch_size=BATCH),
    )
    story.run(config, out, quiet())
    return caught


def augmented(system, loader):
    """The images as stage one would see them under the key of the statistics."""
    images, key = loader.train["image"], loader.keys.statistics
    if isinstance(loader, Resident):
        seen = systems.viewed(
            system, jax.random.clone(key), {"image": np.asarray(images)}
        )
        return np.asarray(seen["image"])
    words = words_of(jax.random.clone(key), 0)
    made = (
        images.augmented(np.random.default_rng((*words, at)), at)
        for at in range(len(images))
    )
    return np.stack(list(made))


def refreshed(system, loader, params):
    """The statistics that a loader's pass comes to, of the extractor of `params`."""
    extractor = systems.extractor(
        system, members.features_of(members.whole(point.sample))
    )
    refresh = loader.passes(extractor).refresh
    one = members.make(jax.random.key(1), 0, 1.0)
    return refresh(point.init(params), one, unlabelled(loader.train))


def of_images(system, images, params):
    """The same of images as they are given."""
    mean, std = system.moments

    def apply(variables, images, **settings):
        normal = geometry.normalise(images, mean, std)
        return system.net.features.apply(variables, normal, **settings)

    def draw(_):
        return {"params": params["features"]}

    run = jax.jit(lambda x: batch_norm.refresh(draw, np.zeros(1), apply, x, BATCH))
    return run(images)


def unaugmented(loader, stream):
    plain = loader.train["image"]
    return np.stack([plain.plain(at) for at in range(len(plain))]) if stream else plain


@pytest.mark.parametrize("stream", [False, True])
def test_statistics_are_those_of_augmented_images(zoo, tmp_path, monkeypatch, stream):
    if stream:
        pytest.importorskip("grain")
    system, loader = stages_of(zoo, tmp_path / "x", monkeypatch, stream)
    params = system.begin(jax.random.key(0))["params"]
    found = refreshed(system, loader, params)
    seen, plain = augmented(system, loader), unaugmented(loader, stream)
    assert (seen != plain).any()
    every = found, of_images(system, seen, params), of_images(system, plain, params)
    for ours, wanted, other in zip(*map(jax.tree.leaves, every), strict=True):
        np.testing.assert_allclose(ours, wanted, rtol=1e-4, atol=1e-5)
        assert np.abs(ours - other).max() > 1e-3


@pytest.mark.parametrize("stream", [False, True])
def test_statistics_of_plain_neighbours_where_these_are_asked_for(
    zoo, tmp_path, monkeypatch, stream
):
    if stream:
        pytest.importorskip("grain")
    system, loader = stages_of(zoo, tmp_path / "x", monkeypatch, stream)
    loader._settings = dataclasses.replace(
        loader._settings, augmented=False, order="neighbours"
    )
    params = system.begin(jax.random.key(0))["params"]
    plain = np.asarray(unaugmented(loader, stream))
    # Of strides: a batch is a run of rows where these are dealt out to the batches.
    number = -(-len(plain) // BATCH)
    dealt = np.empty_like(plain)
    for batch, rows in enumerate(np.array_split(np.arange(len(plain)), number)):
        dealt[batch::number] = plain[rows]
    assert number > 1
    every = refreshed(system, loader, params), of_images(system, dealt, params)
    for ours, wanted in zip(*map(jax.tree.leaves, every), strict=True):
        np.testing.assert_allclose(ours, wanted, rtol=1e-4, atol=1e-5)


def test_what_is_known_beside_an_image_is_there_for_each_of_its_views():
    net = Network(features=None, head=None, takes=("image", "meta"))
    plain = {
        "weak": lambda key, images: images,
        "strong": lambda key, images: 9 * images,
    }
    system = systems.System(
        net=net,
        objective=objective.simple(None, ("weak", "strong")),
        views=plain,
        **dict.fromkeys(
            ("moments", "pixels", "begin", "fixed", "trunk", "teach", "digests")
        ),
    )
    batch = {
        "image": np.ones((2, 3, 3, 1), np.uint8),
        "label": np.arange(2),
        "meta": np.arange(4.0).reshape(2, 2),
        "other": np.zeros(2),
    }
    found = systems.viewed(system, jax.random.key(0), batch)
    assert found["image"].shape == (4, 3, 3, 1)
    np.testing.assert_array_equal(found["meta"], np.concatenate([batch["meta"]] * 2))
    for untouched in ("label", "other"):
        np.testing.assert_array_equal(found[untouched], batch[untouched])


def test_a_batch_has_what_the_network_takes_and_no_more():
    image, label = np.zeros((2, 3, 3, 1), np.uint8), np.arange(2)
    split = Split(image, label, meta=np.ones((2, 1), np.float32))
    assert columns(split, ("image",)).keys() == {"image", "label"}
    assert columns(split, ("image", "meta")).keys() == {"image", "label", "meta"}
