"""Batch-norm statistics of a run: of augmented images, in batches from all over."""

import jax
import numpy as np
import pytest
from PIL import Image
from tiny import quiet

from ltjax import run as story
from ltjax.config import Augment, CifarResNet, Config, Data, Posterior, Sgd
from ltjax.posterior import batch_norm, members
from ltjax.stages import epochs, passes

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


def session_of(zoo, out, monkeypatch, stream):
    """What the stages of a run would get."""
    caught = []
    monkeypatch.setattr(
        story, "stages", lambda session: caught.append(session) or ([], {}, {})
    )
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
    return caught[0]


def augmented(session):
    """The images as stage one would see them under the key of the statistics."""
    images, key = session.data.train.image, session.keys.statistics
    if not session.streams:
        return np.asarray(session.seen(jax.random.clone(key), images))
    words = epochs.words_of(jax.random.clone(key), 0)
    made = (
        images.augmented(np.random.default_rng((*words, at)), at)
        for at in range(len(images))
    )
    return np.stack(list(made))


@pytest.mark.parametrize("stream", [False, True])
def test_statistics_are_those_of_augmented_images(zoo, tmp_path, monkeypatch, stream):
    if stream:
        pytest.importorskip("grain")
    session = session_of(zoo, tmp_path / "x", monkeypatch, stream)
    shape = (1, *session.data.train.image.shape[1:])
    params = session.net.init(jax.random.key(0), np.zeros(shape, np.float32))["params"]
    kind = passes.streamed if stream else passes.resident
    refresh = kind(session, members.of_point).refresh
    one = members.members(jax.random.key(1), 0, 1.0)
    found = refresh(params, one, session.train["image"])

    def apply(variables, images, **settings):
        normal = session.normalise(images)
        return session.net.features.apply(variables, normal, **settings)

    def of(images):
        def draw(_):
            return {"params": params["features"]}

        run = jax.jit(lambda x: batch_norm.refresh(draw, np.zeros(1), apply, x, BATCH))
        return run(images)

    seen = augmented(session)
    plain = session.data.train.image
    if stream:
        plain = np.stack([plain.plain(at) for at in range(len(plain))])
    assert (seen != plain).any()
    for ours, wanted, other in zip(
        *(jax.tree.leaves(tree) for tree in (found, of(seen), of(plain))), strict=True
    ):
        np.testing.assert_allclose(ours, wanted, rtol=1e-4, atol=1e-5)
        assert np.abs(ours - other).max() > 1e-3
