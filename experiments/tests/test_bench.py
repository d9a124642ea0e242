"""The bench's PyTorch twin computes what ltjax computes; a bench without it says so."""

import json
import sys
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import measured
import numpy as np
import pytest
from bench import activations, beside, checks, command, growth, harness, shared

from ltjax import config
from ltjax.classifier import heads, linear
from ltjax.data import longtail
from ltjax.data.augment import geometry
from ltjax.evaluation import scores
from ltjax.losses import cross_entropy
from ltjax.posterior import swag
from ltjax.representation import schedule, step

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
CLASSES, SGD = 5, (0.1, 0.9, 0.01)
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (6, 8, 8, 3), np.uint8)
LABELS = RNG.integers(0, CLASSES, 6)
NET = config.CifarResNet(depth=8, width=4).make(CLASSES)


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


@pytest.fixture
def peer(torch):
    from bench import peer

    return peer


def normalise(images):
    return geometry.normalise(images, MEAN, STD)


def made():
    """Variables off their special values, ones and zeros."""
    shapes = jax.eval_shape(NET.init, jax.random.key(0), normalise(IMAGES))

    def fill(leaf):
        if leaf.ndim > 1:
            value = RNG.normal(size=leaf.shape) / np.sqrt(np.prod(leaf.shape[:-1]))
        else:
            value = RNG.uniform(0.5, 1.5, leaf.shape)
        return value.astype(np.float32)

    return jax.tree.map(fill, shapes)


VARIABLES = made()


def twin(torch, peer, variables):
    network = peer.load(peer.Network(8, 4, CLASSES, MEAN, STD), variables)
    return network.to(memory_format=torch.channels_last)


def test_logits_are_equal(torch, peer):
    ours = jax.jit(lambda x: NET.apply(VARIABLES, normalise(x)))(IMAGES)
    with torch.inference_mode():
        theirs = twin(torch, peer, VARIABLES).eval()(torch.from_numpy(IMAGES))
    assert np.abs(ours).max() > 0.1
    np.testing.assert_allclose(theirs, ours, rtol=1e-4, atol=1e-4)


def test_two_train_steps_are_equal(torch, peer):
    tx = schedule.sgd(*SGD)
    train = jax.jit(step.make_step(NET.apply, cross_entropy, tx))
    state = step.init(VARIABLES, tx)
    network = twin(torch, peer, VARIABLES).train()
    optimiser = peer.sgd(network.parameters(), *SGD)
    batch = {"image": normalise(IMAGES), "label": jnp.asarray(LABELS)}
    for _ in range(2):  # the second has momentum
        state, metrics = train(jax.random.key(0), state, batch)
        loss = peer.train_step(
            network, optimiser, torch.from_numpy(IMAGES), torch.from_numpy(LABELS)
        )
        np.testing.assert_allclose(loss, metrics["loss"], rtol=1e-4)
    # Written into a second twin, our weights have the same names and layouts.
    ours = twin(torch, peer, {"params": state.params, "batch_stats": state.batch_stats})
    expected = dict(ours.named_parameters())
    before = dict(twin(torch, peer, VARIABLES).named_parameters())
    for name, theirs in network.named_parameters():
        assert not np.allclose(theirs.detach(), before[name].detach(), atol=1e-4)
        np.testing.assert_allclose(
            theirs.detach(), expected[name].detach(), rtol=1e-3, atol=1e-4
        )


def test_swag_moments_are_equal(torch, peer):
    layer = torch.nn.Linear(3, 2)
    theirs = peer.Swag(layer.parameters(), rank=4)
    ours = swag.init({"weight": jnp.zeros((2, 3)), "bias": jnp.zeros(2)}, rank=4)
    for _ in range(6):
        params = {
            name: RNG.normal(size=shape).astype(np.float32)
            for name, shape in (("weight", (2, 3)), ("bias", 2))
        }
        layer.load_state_dict({n: torch.tensor(p) for n, p in params.items()})
        theirs.update()
        ours = swag.update(ours, params)

    def flat(tree, axes=0):
        leaves = (np.asarray(tree[name]) for name in ("weight", "bias"))
        return np.concatenate(
            [leaf.reshape(*leaf.shape[:axes], -1) for leaf in leaves], -1
        )

    variance = theirs.square - theirs.mean**2
    np.testing.assert_allclose(theirs.mean, flat(ours.mean), atol=1e-5)
    np.testing.assert_allclose(variance, flat(ours.scatter) / 6, atol=1e-5)
    np.testing.assert_allclose(theirs.deviations, flat(ours.deviations, 1), atol=1e-5)
    torch.manual_seed(0)
    theirs.sample()
    drawn = flat({name: leaf.numpy() for name, leaf in layer.state_dict().items()})
    # Twelve standard deviations of the draw: it moved, and not far.
    distance = np.abs(drawn - theirs.mean.numpy())
    limit = 12 * np.sqrt(variance.numpy())
    assert (distance > 0).all()
    assert (distance < limit).all()


def test_scores_are_equal(torch, peer):
    head = {
        "kernel": RNG.normal(size=(3, CLASSES)).astype(np.float32),
        "bias": np.zeros(CLASSES, np.float32),
    }
    features = RNG.normal(size=(40, 3)).astype(np.float32)
    labels = np.arange(40) % CLASSES
    figures, per_class = scores.score(
        heads.one_pass(linear.logits, head),
        jnp.asarray(features[None]),
        labels,
        longtail.groups(np.full(CLASSES, 50)),
    )
    theirs = peer.scores(
        torch.from_numpy(features @ head["kernel"]), torch.from_numpy(labels)
    )
    np.testing.assert_allclose(theirs["per_class"], per_class, atol=1e-6)
    np.testing.assert_allclose(100 * theirs["all"], figures["acc"]["all"], rtol=1e-5)
    for name in ("nll", "brier", "ece"):
        np.testing.assert_allclose(theirs[name], figures[name], rtol=1e-4)


def test_calls_take_turns_and_failures_are_kept():
    def fail():
        raise RuntimeError("no compiler\nand more")

    calls = []
    sides = {
        "ltjax": lambda: calls.append("l"),
        "torch": lambda: calls.append("t"),
        "maybe": fail,
    }
    _, times, failed = harness.by_turns(sides, 2, may_fail="maybe")
    assert calls == ["l", "t"] * 3
    assert {name: len(turns) for name, turns in times.items()} == {
        "ltjax": 2,
        "torch": 2,
    }
    assert failed == {"maybe": "RuntimeError: no compiler"}
    with pytest.raises(RuntimeError, match="no compiler"):
        harness.by_turns(sides, 2, may_fail="other")
    calls.clear()
    harness.by_turns(sides, 5, 0.0, "maybe")
    assert calls == ["l", "t"] * 2  # the first calls, and one turn past the deadline


def test_ratios_are_of_speeds():
    pair = SimpleNamespace(work=6, unit="images")
    times = {"ltjax": [2.0, 3.0, 4.0], "torch": [1.0, 3.0, 8.0]}
    found = beside.compare(pair, dict.fromkeys(times, 1.0), times, {})
    assert found["sides"]["ltjax"]["per_second"] == 2
    assert found["ratios"] == {"torch": {"median": 1.0, "quartiles": [0.75, 1.5]}}
    found = {
        "swag_update": {"sides": {"ltjax": {"per_second": 200.0}}},
        "train_step": {"sides": {"ltjax": {"per_second": 50.0}}},
    }
    # 5 ms of 20 s.
    np.testing.assert_allclose(beside.share_of_epoch(found, 1000), 0.00025)


def test_slopes_are_log_log():
    def point(size):
        return {"cubic": 5 * size**3, "flat": 7, "none": 0}

    slopes = growth.curve(point, (1, 2, 4, 8))["slopes"]
    assert slopes["none"] is None
    np.testing.assert_allclose([slopes["cubic"], slopes["flat"]], [3, 0], atol=1e-9)


def test_the_file_has_the_figures_asked_for(torch, monkeypatch, tmp_path, capsys):
    from bench import pairs

    monkeypatch.setattr(pairs, "use_cpu", lambda: None)  # which all later tests had
    out = tmp_path / "bench.json"
    flags = ["--quick", "--repeats", "2", "--only", "swag_update", "evaluation"]
    assert command.main([*flags, "--out", str(out)]) == 0
    found = json.loads(out.read_text())
    assert found.keys() == {
        *("train_step", "inference", "refresh", "head"),
        *("swag_update_share_of_epoch", "detail"),
    }
    assert found["train_step"] is found["swag_update_share_of_epoch"] is None
    detail = found["detail"]
    assert detail.keys() == {"pairs", "environment", "options", "seconds"}
    assert detail["pairs"].keys() == {"swag_update", "evaluation"}
    pair = detail["pairs"]["evaluation"]
    assert pair["repeats"] == len(pair["sides"]["torch"]["seconds"]) == 2
    assert pair["ratios"]["torch"]["median"] > 0
    assert detail["environment"]["packages"]["torch"] == torch.__version__.split("+")[0]
    assert "(torch)" in capsys.readouterr().out


def test_steps_are_the_same_with_and_without_checks(monkeypatch):
    small = shared.Shared(
        NET, VARIABLES, IMAGES, LABELS.astype(np.int32), np.ones(CLASSES), RNG
    )
    monkeypatch.setattr(shared, "shared", lambda: small)
    monkeypatch.setattr(shared, "BATCH", 3)
    monkeypatch.setattr(checks, "STEPS", 2)
    checked, plain = (call() for call in checks.loops().values())
    (checked, _) = checked
    assert int(checked.step) == int(plain.step) == 2
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
        checked.params,
        plain.params,
    )


def test_an_activation_is_timed_with_the_gradients_of_its_formula(monkeypatch):
    aglu, silu, written = (call() for call in activations.calls((2, 3, 3, 4)).values())
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
        aglu,
        written,
    )
    (value, (slope,)) = silu
    assert value.shape == slope.shape == (2, 3, 3, 4)
    whole = activations.calls
    monkeypatch.setattr(activations, "calls", lambda: whole((2, 3)))
    figures = activations.measure(SimpleNamespace(repeats=2))
    (_, *rows) = measured.activations(figures)
    assert [row[0] for row in rows] == ["AGLU", "AGLU as its formula is written"]


class NoTorch:
    """Finds modules as if torch were not installed."""

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "torch":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def test_missing_torch_is_told(monkeypatch, capsys, tmp_path):
    for name in ("pairs", "posterior_pairs", "peer"):
        monkeypatch.delitem(sys.modules, f"bench.{name}", raising=False)
        monkeypatch.delattr(f"bench.{name}", raising=False)
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setattr(sys, "meta_path", [NoTorch(), *sys.meta_path])
    assert command.main(["--quick", "--out", str(tmp_path / "bench.json")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "pip install torch==2.13.0" in error
    assert not list(tmp_path.iterdir())
