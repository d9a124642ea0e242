"""Gates against NumPy, sizes of whole networks, and what is refused."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ltjax.config import (
    Aglu,
    Apa,
    Cbam,
    CifarResNet,
    Cosine,
    Experts,
    Relu,
    ResNet,
    Se,
    Sigmoid,
)
from ltjax.models import activations, gates
from ltjax.models.cifar_resnet import CifarResNet as Body
from ltjax.models.gradient import plain
from ltjax.models.patches import convolve_inside

pytestmark = pytest.mark.usefixtures("compiled_once")

RNG = np.random.default_rng(0)
X = np.float32(RNG.normal(size=(3, 5, 4, 8)))
SQUASHED = Cosine(scale=16.0, norm="squashed")
LEARNT = Cosine(scale=25.0, norm="squashed", learnt=True)
SE, CB = Se(reduction=4, activation=Apa()), Cbam(reduction=4, activation=Apa())


def moved(variables):
    """Variables moved off their special values: ones, zeros."""

    def move(leaf):
        return leaf + 0.2 * RNG.uniform(size=leaf.shape).astype(np.float32)

    return jax.tree.map(move, variables)


def layer_norm(x, params):
    mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) / np.sqrt(var + 1e-5) * params["scale"] + params["bias"]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("norm", [False, True])
def test_se_is_a_factor_for_each_channel(norm):
    module = gates.Se(4, norm=norm)
    variables = moved(module.init(jax.random.key(0), X))
    params = jax.tree.map(np.float64, variables["params"])
    seen = np.float64(X).mean((1, 2))
    if norm:
        seen = layer_norm(seen, params["norm"])
    seen = np.maximum(seen @ params["squeeze"]["kernel"], 0)
    gate = sigmoid(seen @ params["excite"]["kernel"])
    assert params["squeeze"]["kernel"].shape == (8, 2)
    wanted = X * gate[:, None, None]
    np.testing.assert_allclose(module.apply(variables, X), wanted, rtol=1e-4, atol=1e-6)


def test_cbam_is_a_factor_for_channels_then_one_for_places():
    module = gates.Cbam(4, partial(activations.Apa), partial(activations.Apa))
    variables = moved(module.init(jax.random.key(0), X))
    params, stats = (
        jax.tree.map(np.float64, variables[name]) for name in ("params", "batch_stats")
    )
    own, x = params["channels"], np.float64(X)

    def seen(pooled):
        inside = layer_norm(pooled, own["norm"]) @ own["squeeze"]["kernel"]
        inside = np.maximum(inside + own["squeeze"]["bias"], 0)
        return inside @ own["excite"]["kernel"] + own["excite"]["bias"]

    def apa(z, of):
        (kappa,), (lam,) = of["activation"]["kappa"], of["activation"]["lam"]
        return (lam * np.exp(-kappa * z) + 1) ** (-1 / lam)

    gate = apa(seen(x.mean((1, 2))) + seen(x.max((1, 2))), own)
    x = x * gate[:, None, None]
    own, stats = params["places"], stats["places"]["norm"]
    maps = np.pad(
        np.stack([x.max(-1), x.mean(-1)], -1), ((0, 0), (3, 3), (3, 3), (0, 0))
    )
    z = np.zeros(x.shape[:3])
    for i in range(5):
        for j in range(4):
            part = maps[:, i : i + 7, j : j + 7]
            z[:, i, j] = np.einsum("brsi,rsi->b", part, own["conv"]["kernel"][..., 0])
    z = (z - stats["mean"]) / np.sqrt(stats["var"] + 1e-5)
    gate = apa(z * own["norm"]["scale"] + own["norm"]["bias"], own)
    wanted = x * gate[..., None]
    np.testing.assert_allclose(module.apply(variables, X), wanted, rtol=1e-4, atol=1e-5)
    # Its batch norm forgets slowly.
    _, new = module.apply(variables, X, train=True, mutable=["batch_stats"])
    before = variables["batch_stats"]["places"]["norm"]["mean"]
    after = new["batch_stats"]["places"]["norm"]["mean"]
    assert 0 < np.abs(after - before) < 0.05


def test_the_convolution_of_places_has_the_gradients_that_jax_derives():
    x, dy = RNG.normal(size=(2, 3, 9, 8, 1)).astype(np.float32)
    x, kernel = np.concatenate([x, 2 * x], -1), RNG.normal(size=(7, 7, 2, 1))
    kernel = np.float32(kernel)
    wanted, pull = jax.vjp(plain, x, kernel)
    got, own = jax.vjp(convolve_inside, x, kernel)
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)
    for a, b in zip(jax.jit(own)(dy), pull(dy)):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("make", [gates.Se, gates.Cbam])
def test_dropout_is_in_training_with_a_stream_for_it(make):
    module = make(2, dropout=0.5)
    variables = moved(module.init(jax.random.key(0), X))

    def out(train, **rngs):
        return module.apply(
            variables, X, train=train, rngs=rngs, mutable=["batch_stats"]
        )[0]

    one, other = (out(True, dropout=jax.random.key(seed)) for seed in (0, 1))
    np.testing.assert_array_equal(out(False, dropout=jax.random.key(0)), out(False))
    assert np.abs(one - out(True)).max() > 0
    assert np.abs(one - other).max() > 0


@pytest.mark.parametrize("make", [gates.Se, gates.Cbam])
def test_bfloat16_goes_through(make):
    module = make(2, partial(activations.Apa))
    variables = module.init(jax.random.key(0), X)
    found = module.apply(variables, jnp.asarray(X, jnp.bfloat16))
    assert found.dtype == jnp.bfloat16
    np.testing.assert_allclose(
        np.float32(found), module.apply(variables, X), rtol=0.02, atol=0.02
    )


@pytest.mark.parametrize("make", [gates.Se, gates.Cbam])
@pytest.mark.parametrize("reduction", [0, 9])
def test_a_reduction_that_leaves_no_channel_is_refused(make, reduction):
    with pytest.raises(ValueError, match=f"reduction is {reduction}; of 8 channels"):
        make(reduction).init(jax.random.key(0), X)


def size(model, classes, pixels=32):
    images = jax.ShapeDtypeStruct((1, pixels, pixels, 3), jnp.float32)
    shapes = jax.eval_shape(model.make(classes).init, jax.random.key(0), images)
    return sum(leaf.size for leaf in jax.tree.leaves(shapes["params"]))


@pytest.mark.parametrize(
    ("gate", "activation", "head", "classes", "parameters"),
    [
        (Se(reduction=4), Relu(), SQUASHED, 100, 483_344),
        (SE, Aglu(), SQUASHED, 100, 484_556),
        (Cbam(reduction=4), Relu(), SQUASHED, 100, 486_664),
        (
            Cbam(reduction=4, activation=Apa(), sigmoid_places=True),
            Aglu(),
            SQUASHED,
            100,
            486_756,
        ),
        (CB, Aglu(), SQUASHED, 100, 486_786),
        (SE, Aglu(), SQUASHED, 10, 478_796),
        (SE, Aglu(), LEARNT, 10, 478_797),
        # Each on its own, which the release cannot.
        (SE, Relu(), SQUASHED, 100, 484_556 - 62),
        (Se(reduction=4), Aglu(), SQUASHED, 100, 483_344 + 62),
    ],
)
def test_networks_for_small_images_have_the_size_of_their_release(
    gate, activation, head, classes, parameters
):
    model = CifarResNet(depth=32, gate=gate, activation=activation, head=head)
    assert size(model, classes) == parameters


@pytest.mark.parametrize(
    ("name", "gate", "activation", "parameters"),
    [
        ("resnet50", Se(), Relu(), 28_070_976),
        ("resnet50", Se(activation=Apa()), Aglu(), 28_101_314),
        ("resnext50", Se(activation=Apa()), Aglu(), 27_573_186),
        ("resnet50", Cbam(activation=Apa()), Aglu(), 28_118_994),
        ("resnet101", Se(activation=Apa()), Aglu(), 49_356_618),
        ("resnet152", Se(activation=Apa()), Aglu(), 66_866_130),
    ],
)
def test_networks_for_large_images_have_the_size_of_their_release(
    name, gate, activation, parameters
):
    model = ResNet(name=name, gate=gate, activation=activation, head=SQUASHED)
    assert size(model, 1000, 64) == parameters


def test_a_sigmoid_brings_no_norm_and_apa_does_unless_told():
    def made(**fields):
        gate = Se(**fields).make(None, None)()
        return gate.norm, gate.dropout

    assert made(reduction=4) == (False, 0.0)
    assert made(activation=Apa()) == (True, 0.1)
    assert made(activation=Apa(), norm=False) == (False, 0.0)
    assert made(activation=Apa(), norm=False, dropout=0.2) == (False, 0.2)
    assert made(activation=Sigmoid(), norm=True) == (True, 0.1)


def test_first_values_are_those_of_their_place():
    def seen(gate, **fields):
        model = CifarResNet(depth=20, gate=gate, **fields)
        body = model.make(10).features
        params = jax.jit(body.init)(jax.random.key(0), np.zeros((1, 8, 8, 3)))["params"]
        ranges = {}
        for place, (kappa, lam) in activations.learnt(params).items():
            assert 0 <= lam < 1
            kind = (
                "layer"
                if "act" in place.split("/")[-1][:4] and "gate" not in place
                else "gate"
            )
            ranges.setdefault(kind, []).append(float(kappa[0]))
        return {kind: (min(found), max(found)) for kind, found in ranges.items()}

    for gate, low, high in ((SE, -1, 0), (CB, 0, 1)):
        found = seen(gate, activation=Aglu())
        assert low <= found["gate"][0] < found["gate"][1] <= high
        assert 0.8 <= found["layer"][0] < found["layer"][1] <= 1.2
    own = Se(reduction=4, activation=Apa(kappa=(2.0, 2.5)))
    assert 2 <= seen(own)["gate"][0] <= 2.5


def test_without_gates_names_and_values_are_those_of_before():
    plain, again = Body(8, 4), CifarResNet(depth=8, width=4).body()
    images = np.float32(RNG.normal(size=(2, 8, 8, 3)))
    one, other = (net.init(jax.random.key(0), images) for net in (plain, again))
    jax.tree.map(np.testing.assert_array_equal, one, other)
    names = {name for block in one["params"].values() for name in block}
    assert names == {"conv1", "conv2", "norm1", "norm2", "kernel", "scale", "bias"}
    programs = [
        str(jax.make_jaxpr(net.apply)(variables, images))
        for net, variables in ((plain, one), (again, other))
    ]
    assert programs[0] == programs[1]
    # With them the shared parts begin as they do without.
    gated = CifarResNet(depth=8, width=4, gate=SE, activation=Aglu()).body()
    found = gated.init(jax.random.key(0), images)["params"]
    np.testing.assert_array_equal(
        found["stage2_block1"]["conv2"]["kernel"],
        one["params"]["stage2_block1"]["conv2"]["kernel"],
    )


def test_experts_have_gates_too():
    of = CifarResNet(depth=8, width=4, gate=SE, activation=Aglu())
    net = Experts(of=of, count=2, branch=2).make(3)
    images = np.float32(RNG.normal(size=(2, 8, 8, 3)))
    variables = jax.jit(net.init)(jax.random.key(0), images)
    assert net.apply(variables, images).shape == (2, 2, 3)
    assert len(activations.learnt(variables["params"])) == 3 + 1 + 2 * 2 * 3
