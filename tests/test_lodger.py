"""A lodger moves in: its network, objective, head and optimizer, in this file alone.

The network takes an image and what is known beside it, the objective carries memory
from step to step, the classifier of stage one is no linear one, that of stage two is a
method of its own. None of the package is edited.
"""

import dataclasses
import types

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny
from flax import linen as nn

from ltjax import config as configs
from ltjax.classifier import METHODS, linear
from ltjax.classifier.method import Head
from ltjax.losses import cross_entropy
from ltjax.mistake import Mistake
from ltjax.models.network import Network
from ltjax.representation.objective import Objective
from ltjax.run import run
from ltjax.runtime.stopping import Stopped
from ltjax.stages import trained
from ltjax.workdir import checkpoint, events

pytestmark = pytest.mark.usefixtures("compiled_once")

CLASSES, KNOWN = 4, 3


class Features(nn.Module):
    """A few numbers of an image beside those that are known of it."""

    @nn.compact
    def __call__(self, image, meta, train=False):
        seen = nn.Dense(6, name="image")(image.mean((1, 2)))
        known = nn.Dense(6, name="meta")(meta)
        both = jnp.concatenate([seen, known], -1)
        return nn.relu(nn.BatchNorm(not train, name="norm")(both))


class Scaled(nn.Module):
    """Logits twice those of a linear classifier."""

    classes: int

    @nn.compact
    def __call__(self, x):
        return 2 * nn.Dense(self.classes, name="dense")(x)

    def linear(self, params):
        """The same as `classifier.linear` has it."""
        return jax.tree.map(lambda leaf: 2 * leaf, params["dense"])

    def inputs(self, features):
        """What that takes."""
        return features


@dataclasses.dataclass(frozen=True)
class Beside(configs.Model):
    """The network's record; what it makes of the image alone stays as it begins."""

    trained = "meta", "norm", "head"

    def make(self, classes):
        takes = "image", "meta"
        return Network(features=Features(), head=Scaled(classes), takes=takes)


@dataclasses.dataclass(frozen=True)
class Remembering:
    """Cross entropy, and a pull to the mean probabilities of the steps before."""

    pull: float = 0.1

    def make(self, task):
        counts = np.asarray(task.counts, np.float32)

        def loss(logits, batch, memory, step):
            probs = jax.nn.softmax(logits)
            far = ((probs - memory["mean"][None]) ** 2).sum(-1)
            each = cross_entropy(logits, batch["label"]) + self.pull * far
            return each.mean(), logits, probs.mean(0)

        def init(key, variables):
            # From the key, too: it is that of the run.
            noise = 1e-3 * jax.random.uniform(key, (len(counts),))
            return {"mean": counts / counts.sum() + noise, "steps": jnp.int32(0)}

        def remember(memory, params, note):
            mean = 0.9 * memory["mean"] + 0.1 * note
            return {"mean": mean, "steps": memory["steps"] + 1}

        def prepare(key, net, fixed, state, batch):
            # Metadata of some images are masked, the more the longer it trains.
            image, meta = batch["image"]
            share = jnp.minimum(state.memory["steps"] / 100, 0.5)
            kept = jax.random.bernoulli(
                jax.random.fold_in(key, 7), 1 - share, (len(meta), 1)
            )
            return {**batch, "image": (image, meta * kept)}

        return Objective(loss, init, remember, prepare)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Adam(configs.Optim):
    """The optimizer's record."""

    lr: float = 0.02

    def make(self, steps, rate=None):
        rate = rate or optax.constant_schedule(self.lr)
        return rate, optax.adam(rate)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Classifier(configs.Classifier):
    """Stage two with methods by any name."""

    methods: tuple[str, ...] = ("la", "halved")


def _heads(given):
    def loss(params, z, y):
        return cross_entropy(linear.logits(params, z[0]) / 2, y)

    return {"": Head(given.new, linear.logits, loss)}


HALVED = types.SimpleNamespace(
    TITLE="half the logits",
    AFFINE=True,
    JOINT=False,
    DRAWS=False,
    power=lambda plain, tau: 1.0,
    heads=_heads,
)


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    place = tmp_path_factory.mktemp("lodger")
    rng = np.random.default_rng(0)
    for name, counts in (("train", (24, 13, 7, 4)), ("test", (5, 5, 5, 5))):
        tiny.save(place / f"{name}.npz", counts, len(name))
        with np.load(place / f"{name}.npz", allow_pickle=False) as file:
            arrays = dict(file)
        # The class is known from these alone.
        meta = np.eye(CLASSES)[arrays["label"]][:, :KNOWN]
        meta = meta + rng.normal(0, 0.2, meta.shape)
        np.savez(place / f"{name}.npz", **arrays, meta=meta.astype(np.float32))
    return dataclasses.replace(
        tiny.config_of(place),
        model=Beside(),
        objective=Remembering(),
        optim=Adam(epochs=6, warmup_epochs=0, batch_size=16),
        classifier=Classifier(epochs=2, batch_size=16, views=2),
    )


@pytest.fixture(scope="module")
def whole(config, tmp_path_factory):
    """The folder and the results of an unbroken run."""
    out = tmp_path_factory.mktemp("whole") / "x"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(METHODS, "halved", HALVED)
        return out, run(config, out, tiny.quiet())


def losses(out):
    return {
        (event["event"], event.get("backbone") or event["row"], event["epoch"]): event[
            "loss"
        ]
        for event in events.last_events(out)
        if "loss" in event
    }


def test_it_lives_here(whole):
    out, results = whole
    rows = {(row["backbone"], row["classifier"]) for row in results["rows"]}
    assert rows >= {("sgd", "none"), ("swa", "la"), ("swa", "halved"), ("swag", "la")}
    # It reads what is known beside the image: chance would be a quarter.
    (row,) = (
        r for r in results["rows"] if (r["backbone"], r["classifier"]) == ("swa", "la")
    )
    assert row["acc"]["all"] > 60
    told = losses(out)
    assert told["epoch", "sgd", 6] < told["epoch", "sgd", 1]


def test_its_memory_is_kept_with_the_weights(whole):
    out, _ = whole
    state, _ = checkpoint.load_as_saved(
        checkpoint.steps(out / "checkpoints" / "sgd")[0]
    )
    assert int(state["memory"]["steps"]) == int(state["step"]) == 18
    assert 0.5 < float(np.sum(state["memory"]["mean"])) < 1.5
    assert state["memory"]["mean"].std() > 1e-4


def test_what_does_not_train_is_nowhere(whole):
    out, _ = whole
    for backbone in ("sgd", "swa"):
        newest = checkpoint.steps(out / "checkpoints" / backbone)[0]
        state, posterior = checkpoint.load_as_saved(newest)
        assert state["params"]["features"].keys() == {"meta", "norm"}
        # Weights, both moments of Adam, mean, scatter and deviations of the posterior.
        names = [
            jax.tree_util.keystr(path, simple=True, separator="/")
            for path, _ in jax.tree.leaves_with_path((state, posterior))
        ]
        found = sum("features/meta/kernel" in name for name in names)
        assert found == {"sgd": 3, "swa": 6}[backbone]
        assert not [name for name in names if "features/image" in name]


def test_it_goes_on_where_it_was_stopped(config, whole, tmp_path, monkeypatch):
    monkeypatch.setitem(METHODS, "halved", HALVED)
    out, stops, asked = tmp_path / "x", 0, 0

    def stopping():
        nonlocal asked
        asked += 1
        return 75 if asked % 4 == 0 else None

    while True:
        try:
            results = run(config, out, tiny.quiet(), stopping=stopping)
            break
        except Stopped:
            stops += 1
    assert stops > 5
    place, wanted = whole
    assert tiny.timeless(results) == tiny.timeless(wanted)
    assert losses(out) == losses(place)


def test_what_knows_images_only_says_so(whole):
    with pytest.raises(Mistake, match="of its own kind, Beside, whose code its folder"):
        trained.read(whole[0])


def test_data_without_what_the_network_takes_are_refused(config, tmp_path):
    tiny.save(tmp_path / "train.npz", (9, 8, 7, 6), 0)
    tiny.save(tmp_path / "test.npz", (5, 5, 5, 5), 1)
    usual = tiny.config_of(tmp_path)
    other = dataclasses.replace(config, data=usual.data, classifier=usual.classifier)
    with pytest.raises(Mistake, match="the network takes 'meta', which train has not"):
        run(other, tmp_path / "x", tiny.quiet())
    assert not (tmp_path / "x").exists()
