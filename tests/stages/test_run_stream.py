"""Runs whose images are streamed: as good as resident ones, and resumed exactly."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from tiny import quiet, timeless

from ltjax import replay
from ltjax import run as story
from ltjax.config import (
    Augment,
    Checkpoint,
    CifarResNet,
    Classifier,
    Config,
    Data,
    Posterior,
    Sgd,
    Swa,
)
from ltjax.data.crops import Crop
from ltjax.data.streamed import Pictures
from ltjax.mistake import Mistake
from ltjax.representation import schedule
from ltjax.run import run
from ltjax.stages import divergence, kept, loader, loading, streamed
from ltjax.stages import system as systems
from ltjax.stages.classifier import Outcome
from ltjax.workdir import checkpoint, events

pytest.importorskip("grain")
pytestmark = pytest.mark.usefixtures("thin")


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    """Two classes, 24 and 12 images of 8 x 8 pixels."""
    place = tmp_path_factory.mktemp("zoo")
    rng = np.random.default_rng(0)
    for at in range(36):
        path = place / ("a" if at < 24 else "b") / f"{at:02d}.png"
        path.parent.mkdir(exist_ok=True)
        pixels = rng.integers(0, 120, (8, 8, 3), np.uint8) + np.uint8(80 * (at >= 24))
        Image.fromarray(pixels).save(path)
    return place


def config_of(zoo, stream=None, **augment):
    return Config(
        name="zoo",
        data=Data(
            source="folder", path=str(zoo), size=8, test_per_class=4, stream=stream
        ),
        augment=Augment(**augment),
        model=CifarResNet(depth=8, width=4),
        optim=Sgd(epochs=2, warmup_epochs=0, batch_size=8),
        swa=Swa(start=1, every_steps=1, rank=2),
        posterior=Posterior(samples=2, batch_size=10, images=20),
        classifier=Classifier(methods=("la",), epochs=2, batch_size=8, views=1),
    )


def held_out(config):
    """A fifth of each class, 4 and 2 images."""
    return dataclasses.replace(
        config, data=dataclasses.replace(config.data, validation=0.2)
    )


def test_a_streamed_run_is_the_resident_run(zoo, tmp_path):
    # Without augmentation, whose random numbers are drawn on the host when streamed.
    there, streamed = (
        run(held_out(config_of(zoo, stream=stream)), tmp_path / name, quiet())
        for name, stream in (("there", False), ("streamed", True))
    )
    assert streamed["dataset"] == there["dataset"]
    assert streamed["dataset"]["validation"] == 6
    of_both = (
        kept.features(tmp_path / name, "swa", "validation")
        for name in ("there", "streamed")
    )
    np.testing.assert_allclose(*of_both, rtol=1e-3, atol=1e-4)
    for ours, wanted in zip(streamed["rows"], there["rows"], strict=True):
        # One compiled scan and single steps round differently.
        for name in ("nll", "ece", "brier"):
            assert ours[name] == pytest.approx(wanted[name], rel=1e-3, abs=1e-4)
    ours, wanted = (
        [e for e in events.events(tmp_path / name) if e["event"] == "epoch"]
        for name in ("streamed", "there")
    )
    for one, other in zip(ours, wanted, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-4)
        paces = {"input_images_per_second", "step_images_per_second"}
        assert one.keys() - other.keys() == paces
        assert all(one[name] > 0 for name in paces)
    with pytest.raises(Mistake, match=r"data\.stream was True, now False"):
        run(config_of(zoo, stream=False), tmp_path / "streamed", quiet())


def test_a_broken_run_goes_on_exactly(zoo, tmp_path, monkeypatch):
    config = config_of(zoo, stream=True, crop_area=0.2, flip=True, jitter=0.4)
    whole = run(config, tmp_path / "whole", quiet())
    save, saved = checkpoint.save_step, []

    def break_after(folder, at, *args):
        save(folder, at, *args)
        if folder.parent.name != "checkpoints":  # features or heads
            return
        saved.append((folder.name, *at))
        if saved[-1] in (("sgd", 0, 1), ("swa", 1, 2)):
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "save_step", break_after)
    # Every step is a piece, and saved.
    monkeypatch.setattr(loader.Ruler, "took", lambda self, steps, seconds: None)
    config = dataclasses.replace(config, checkpoint=Checkpoint(every_seconds=0))
    out = tmp_path / "broken"
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            run(config, out, quiet())
    found = run(config, out, quiet())
    steps = ((0, 1), (0, 2), (1,), (1, 1), (1, 2), (2,))
    assert saved == [(name, *at) for name in ("sgd", "swa") for at in steps]
    assert timeless(found) == timeless(whole)
    losses = [
        {
            (e["backbone"], e["epoch"]): e["loss"]
            for e in events.events(tmp_path / where)
            if e["event"] == "epoch"
        }
        for where in ("whole", "broken")
    ]
    assert losses[0] == losses[1]


def test_a_streamed_step_that_is_not_finite_stops_the_run(zoo, tmp_path, monkeypatch):
    def to_zero(*arguments):
        return lambda step: jnp.where(step == 4, jnp.inf, 0.1)

    monkeypatch.setattr(schedule, "to_zero", to_zero)
    config = config_of(zoo, stream=True, flip=True)
    with pytest.raises(Mistake, match="weight is not finite at step 4, learning rate"):
        run(config, tmp_path / "x", quiet())
    found, arrays = divergence.read(tmp_path / "x" / divergence.FILE)
    labels = loading.load(config.data, quiet()).train.label
    np.testing.assert_array_equal(arrays["batch/label"], labels[found.rows])
    lines = list(replay.replayed(tmp_path / "x"))
    assert "weights: 5 of 5 tensors are not finite" in lines


def test_streamed_images_are_not_augmented_again(zoo, tmp_path, monkeypatch):
    seen = []

    def stages(config, system, loader, folder):
        seen.append((system, loader))
        return [Outcome([], {}, predicted={})]

    monkeypatch.setattr(story, "stages", stages)
    for stream in (True, False):
        config = config_of(zoo, stream=stream, pad=2, flip=True)
        run(config, tmp_path / str(stream), quiet())
    (streamed, decoded), (there, held) = seen
    images = np.asarray(held.train["image"])[:8]
    augmented, plain = (systems.of_stage_two(system) for system in (there, streamed))
    key = jax.random.key(0)
    np.testing.assert_array_equal(plain(key, images), images)
    assert (np.asarray(augmented(jax.random.clone(key), images)) != images).any()
    assert decoded.train["image"].recipe == Crop(8, None, 2, True, 0.0)
    # Taken over all images of a set this small.
    np.testing.assert_array_equal(streamed.moments, there.moments)


def test_a_process_has_all_columns_of_a_batch():
    assert streamed.columns_here(6).tolist() == [0, 1, 2, 3, 4, 5]


def test_what_is_too_large_is_streamed_without_being_told(zoo, monkeypatch):
    settings = config_of(zoo).data
    assert isinstance(loading.load(settings, quiet()).train.image, np.ndarray)
    # 36 images of 192 bytes in a quarter of the memory.
    monkeypatch.setattr(loading, "memory", lambda: 4 * 36 * 192)
    assert isinstance(loading.load(settings, quiet()).train.image, np.ndarray)
    monkeypatch.setattr(loading, "memory", lambda: 4 * 36 * 192 - 1)
    assert isinstance(loading.load(settings, quiet()).train.image, Pictures)
    refused = dataclasses.replace(settings, stream=False)
    assert isinstance(loading.load(refused, quiet()).train.image, np.ndarray)


def test_the_memory_of_the_device_counts_where_it_is_known():
    assert 2**28 < loading.memory() < 2**50
    assert jax.local_devices()[0].platform == "cpu"
