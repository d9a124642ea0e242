"""A posterior of this file's own, in a `Backbone`: the rest of a run does not know it.

It draws one of the last snapshots, which are kept as deviations from their mean.
"""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from flax import struct

from ltjax.config import Classifier
from ltjax.export import story
from ltjax.mistake import Mistake
from ltjax.predict import __main__ as predict
from ltjax.report import page
from ltjax.representation import epoch
from ltjax.representation.backbone import Deviations
from ltjax.run import run
from ltjax.runtime.stopping import Stopped
from ltjax.stages import backbones, trained
from ltjax.workdir import checkpoint, results

pytestmark = pytest.mark.usefixtures("thin")

USUAL = backbones.of
KEPT, START = 3, 2  # snapshots, and the epoch after which they are taken


@struct.dataclass
class State:
    """Snapshots so far, their mean, and the last of them less it."""

    count: jax.Array
    mean: dict
    deviations: dict


def init(params):
    rings = jax.tree.map(lambda leaf: jnp.zeros((KEPT, *leaf.shape)), params)
    return State(jnp.int32(0), jax.tree.map(jnp.zeros_like, params), rings)


def update(state, params):
    count = state.count + 1
    mean = jax.tree.map(lambda m, p: m + (p - m) / count, state.mean, params)
    slots = len(jax.tree.leaves(state.deviations)[0])
    deviations = jax.tree.map(
        lambda ring, p, m: ring.at[state.count % slots].set(p - m),
        state.deviations,
        params,
        mean,
    )
    return State(count, mean, deviations)


def chosen(key, state):
    slot = jax.random.randint(key, (), 0, jnp.minimum(state.count, KEPT))
    return jax.tree.map(lambda ring: jnp.asarray(ring)[slot], state.deviations)


def assemble(key, state, scale, deviation):
    return jax.tree.map(lambda m, d: m + jnp.sqrt(scale) * d, state.mean, deviation)


def sample(key, state, scale=1.0):
    return assemble(key, state, scale, chosen(key, state))


def chosen_on_host(keys, state):
    each = [jax.tree.map(np.asarray, chosen(key, state)) for key in keys]
    return jax.tree.map(lambda *leaves: np.stack(leaves), *each)


@pytest.fixture(scope="module")
def moved_in():
    """The second backbone of every run is that of this file."""

    def of(config, task):
        first, second = USUAL(config, task)
        steps = task.steps
        mine = second._replace(
            name="mine",
            drawn="mined",
            init=init,
            collect=epoch.every(update, START * steps, 1),
            restore=lambda state, collected: State(**collected),
            sample=sample,
            deviations=Deviations(KEPT, steps, chosen_on_host, assemble),
        )
        return first, mine

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backbones, "of", of)
        yield


@pytest.fixture(scope="module")
def whole(moved_in, thin, tmp_path_factory):
    """A finished run."""
    few = Classifier(methods=("la", "srepr"), epochs=1, batch_size=16, views=1)
    return tiny.Place(tmp_path_factory.mktemp("mine"), classifier=few)


def figures(told):
    return {
        (row["backbone"], row["classifier"], row["variant"]): row["nll"]
        for row in told["rows"]
    }


def test_its_rows_are_in_the_table(whole):
    found = figures(whole.results)
    assert {backbone for backbone, *_ in found} == {"sgd", "mine", "mined"}
    assert found["mined", "none", ""] != found["mine", "none", ""]
    assert "MINED + SRepr" in page.of_run(results.read(whole.out))


def test_its_draws_are_snapshots(whole):
    opened = trained.read(whole.out, "mined")
    assert opened.backbone == "mine"
    assert int(opened.weights.count) == 6  # one a step of the last two epochs
    # All draws are among three: with the mean, four extractors at the most.
    z = trained.test_features(opened)
    seen = trained.features(opened, 2)(images_of(whole))
    np.testing.assert_allclose(seen, z, rtol=1e-4, atol=1e-4)
    assert (np.asarray(z[0]) != z[1]).any()


def test_a_file_for_swag_refuses_it(whole, tmp_path):
    told = f"holds the Gaussian of SWAG; that of mine is a {__name__}.State"
    with pytest.raises(Mistake, match=told):
        story.export(whole.out, ("posterior",), "mine/la", tmp_path / "x")
    assert not (tmp_path / "x" / "posterior.npz").exists()


def test_where_it_is_not_its_rows_are_refused(whole, monkeypatch):
    monkeypatch.setattr(backbones, "of", USUAL)
    told = "'mined' is no backbone here, nor of its draws; there are sgd, swa"
    with pytest.raises(Mistake, match=told):
        trained.read(whole.out, "mined")


def images_of(place):
    with np.load(place.path / "test.npz", allow_pickle=False) as file:
        return file["image"]


@pytest.mark.parametrize("row", ["mine/la", "mined/la"])
def test_it_predicts(whole, tmp_path, row):
    images, out = whole.path / "test.npz", tmp_path / "p.csv"
    words = [str(whole.out), str(images), "--out", str(out), "--classifier", row]
    assert predict.main(words) == 0
    assert len(out.read_text().splitlines()) == 21


def test_on_the_host_and_stopped_it_comes_to_the_same(whole, tmp_path):
    config = dataclasses.replace(
        whole.config, swa=dataclasses.replace(whole.config.swa, place="host")
    )
    out, stops, asked = tmp_path / "x", 0, 0

    def stopping():
        nonlocal asked
        asked += 1
        return 75 if asked % 5 == 0 else None

    while True:
        try:
            told = run(config, out, tiny.quiet(), stopping=stopping)
            break
        except Stopped:
            stops += 1
    assert stops > 2
    kept = [
        checkpoint.load_as_saved(checkpoint.steps(place / "checkpoints/mine")[0])[1]
        for place in (out, whole.out)
    ]
    jax.tree.map(np.testing.assert_array_equal, *kept)
    # Draws are put together from their parts, in another program.
    found, wanted = figures(told), figures(whole.results)
    assert found.keys() == wanted.keys()
    for name, nll in wanted.items():
        assert found[name] == pytest.approx(nll, rel=1e-3)
    assert json.loads((out / "results.json").read_text())["rows"] == told["rows"]
