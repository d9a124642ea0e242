"""A run on two devices is that on one, and goes on with what the other saved."""

import dataclasses
import types

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

from ltjax.config import (
    Augment,
    CifarResNet,
    Classifier,
    Config,
    Data,
    Posterior,
    Sgd,
    Swa,
)
from ltjax.mistake import Mistake
from ltjax.run import run
from ltjax.runtime import devices
from ltjax.stages import backbones, features, representation
from ltjax.workdir.events import Writer

pytestmark = pytest.mark.usefixtures("thin")


def on(patch, count):
    """Makes a run believe that there are only so many devices."""
    some, axis = jax.devices()[:count], (jax.sharding.AxisType.Auto,)
    mesh = jax.make_mesh((count,), ("data",), axis_types=axis, devices=some)
    patch.setattr(devices, "mesh", lambda: mesh)


# The parts


def test_all_devices_are_one_row():
    assert devices.mesh().shape == {"data": jax.device_count()} == {"data": 2}


def test_a_batch_is_split_and_otherwise_the_same():
    images = np.arange(24.0, dtype=np.float32).reshape(6, 4)
    found = jax.jit(devices.spread)(images)
    np.testing.assert_array_equal(found, images)
    assert found.sharding.spec == jax.P("data")
    assert [shard.data.shape for shard in found.addressable_shards] == [(3, 4)] * 2


def test_sums_over_parts_of_unequal_size_are_those_of_the_whole():
    images = np.random.default_rng(0).normal(size=(7, 4)).astype(np.float32)
    mean = jax.jit(lambda x: devices.spread(x).mean(0))
    np.testing.assert_allclose(mean(images), images.mean(0), rtol=1e-5, atol=1e-6)


def test_local_copies_are_on_the_first_device():
    values = jax.device_put({"a": jnp.arange(3)}, devices.everywhere())
    assert len(values["a"].devices()) == 2
    found = devices.local(values)
    assert found["a"].devices() == {jax.devices()[0]}
    np.testing.assert_array_equal(found["a"], [0, 1, 2])


@pytest.mark.parametrize(
    ("count", "size", "message"),
    [
        (8, 100, "x is 100, not a multiple of the 8 devices; give 96 or 104, or show"),
        (8, 3, "x is 3, not a multiple of the 8 devices; give 8, or show JAX fewer"),
        (8, 64, None),
        (1, 7, None),
    ],
)
def test_a_batch_has_to_be_a_multiple_of_the_devices(monkeypatch, count, size, message):
    mesh = types.SimpleNamespace(size=count)
    monkeypatch.setattr(devices, "mesh", lambda: mesh)
    if message is None:
        devices.check("x", size)
    else:
        with pytest.raises(Mistake) as caught:
            devices.check("x", size)
        assert str(caught.value).startswith(message)


# A run


def save(path, counts, seed):
    """Noisy images of a colour per class."""
    label = np.repeat(np.arange(len(counts)), counts)
    noise = np.random.default_rng(seed).integers(0, 120, (len(label), 8, 8, 1))
    image = noise + 40 * label[:, None, None, None]
    np.savez(path, image=image.astype(np.uint8), label=label)


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    place = tmp_path_factory.mktemp("place")
    # Odd numbers of images, so that statistics and features meet unequal parts.
    save(place / "train.npz", [24, 13, 7, 5], 0)
    save(place / "test.npz", [5] * 4 + [1], 1)
    files = {"train": str(place / "train.npz"), "test": str(place / "test.npz")}
    return Config(
        data=Data(source="npz", **files),
        augment=Augment(pad=1, flip=True),
        model=CifarResNet(depth=8, width=4),
        optim=Sgd(lr=0.02, epochs=4, warmup_epochs=1, batch_size=16),
        swa=Swa(start=2, rank=2),
        posterior=Posterior(samples=2, batch_size=20),
        classifier=Classifier(epochs=2, batch_size=16, views=1, methods=("la",)),
    )


class Killed(BaseException):
    """The end of a process, as far as the code of the run can see."""


def watched(config, out, count, kill_at=None):
    """What the SWA backbone of a run on `count` devices came to: its weights and looks.

    The run is killed just before it tells of the epoch `kill_at`, or when it has both:
    what follows is the same, on one device.
    """
    seen = {}
    train, take, write = representation.train, features.take, Writer.write
    every = backbones.of

    def training(*args):
        seen["weights"] = train(*args)
        return seen["weights"]

    def taking(*args):
        found = take(*args)
        seen["looks"] = found.plain, found.test, found.view(0, True)
        raise Killed

    def writing(self, event):
        if event["event"] == "epoch" and event["epoch"] == kill_at:
            raise Killed
        write(self, event)

    with pytest.MonkeyPatch.context() as patch:
        on(patch, count)
        patch.setattr(backbones, "of", lambda *args: every(*args)[1:])
        patch.setattr(representation, "train", training)
        patch.setattr(features, "take", taking)
        patch.setattr(Writer, "write", writing)
        with pytest.raises(Killed):
            run(config, out, Console(quiet=True))
    return seen


@pytest.fixture(scope="module")
def alone(config, tmp_path_factory):
    """A run on one device."""
    return watched(config, tmp_path_factory.mktemp("alone") / "x", 1)


@pytest.fixture(scope="module")
def moved(config, tmp_path_factory):
    """A run that one device begins and two end."""
    out = tmp_path_factory.mktemp("moved") / "x"
    assert watched(config, out, 1, kill_at=3) == {}
    return watched(config, out, 2)


def test_the_weights_lie_on_every_device(alone, moved):
    for seen, count in ((alone, 1), (moved, 2)):
        for leaf in jax.tree.leaves(seen["weights"]):
            assert len(leaf.devices()) == count
            assert leaf.is_fully_replicated


def test_the_features_lie_on_one(moved):
    (first,) = {leaf.device for leaf in moved["looks"]}
    assert first == jax.devices()[0]


def test_two_devices_come_to_the_weights_and_features_of_one(alone, moved):
    posterior, same_posterior = moved["weights"], alone["weights"]
    assert int(posterior.count) == int(same_posterior.count) == 2
    # Sums over a batch in two parts, twelve steps long.
    tolerance = {"rtol": 1e-4, "atol": 1e-5}
    chex.assert_trees_all_close(posterior.mean, same_posterior.mean, **tolerance)
    chex.assert_trees_all_close(moved["looks"], alone["looks"], **tolerance)
    # The sums were really taken in parts.
    found, wanted = (jax.tree.leaves(p.mean) for p in (posterior, same_posterior))
    assert any((np.asarray(a) != np.asarray(b)).any() for a, b in zip(found, wanted))


def test_devices_that_do_not_divide_the_batch_are_refused(config, tmp_path):
    optim = dataclasses.replace(config.optim, batch_size=15)
    config = dataclasses.replace(config, optim=optim)
    with pytest.raises(Mistake, match=r"^optim\.batch_size is 15, .* give 14 or 16,"):
        run(config, tmp_path / "x", Console(quiet=True))
    assert not (tmp_path / "x").exists()
