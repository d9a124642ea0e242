"""The network against one written in PyTorch, its sizes, and its subtrees."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ltjax.config import CifarResNet as Config
from ltjax.models.cifar_resnet import CifarResNet, shortcut
from ltjax.models.heads import Cosine, Linear
from ltjax.models.network import Network

pytestmark = pytest.mark.usefixtures("compiled_once")

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(8, 8, 8, 1)).astype(np.float32)
SMALL = CifarResNet(depth=8, width=4)


def noisy(variables):
    """`variables` moved off their special values: ones, zeros."""

    def move(leaf):
        return leaf + 0.2 * RNG.uniform(size=leaf.shape).astype(np.float32)

    return jax.tree.map(move, variables)


VARIABLES = noisy(jax.jit(SMALL.init)(jax.random.key(0), IMAGES))


@pytest.mark.parametrize(
    ("depth", "parameters"),
    [(20, 275_572), (32, 470_004), (44, 664_436), (56, 858_868)],
)
def test_parameter_counts(depth, parameters):
    network = Network(CifarResNet(depth), Linear(100))
    images = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    shapes = jax.eval_shape(network.init, jax.random.key(0), images)["params"]
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == parameters


@pytest.mark.parametrize(
    ("init", "variance"),
    [("fan_out", 2 / (9 * 32)), ("fan_in", 2 / (9 * 16)), ("pytorch", 1 / (27 * 16))],
)
def test_first_weights_have_the_variance_of_their_rule(init, variance):
    network = Config(depth=8, width=16, init=init).make(10)
    features = network.init(jax.random.key(0), IMAGES)["params"]["features"]
    kernel = np.asarray(features["stage2_block1"]["conv1"]["kernel"], float)
    assert kernel.shape == (3, 3, 16, 32)
    # The variance of a variance over 4,608 weights: 2.1 % for normal ones.
    assert kernel.var() == pytest.approx(variance, rel=0.1)
    bound = 1 / np.sqrt(9 * 16)
    assert (np.abs(kernel).max() <= bound) == (init == "pytorch")


def test_impossible_depth_is_refused():
    with pytest.raises(ValueError, match="depth 21"):
        CifarResNet(21).init(jax.random.key(0), IMAGES)


def test_shortcut_subsamples_and_adds_zero_channels():
    x = RNG.normal(size=(2, 4, 6, 3)).astype(np.float32)
    y = shortcut(x, 6, 2)
    expected = np.zeros((2, 2, 3, 6), np.float32)
    for i in range(2):
        for j in range(3):
            expected[:, i, j, 1:4] = x[:, 2 * i, 2 * j]
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(shortcut(x, 3, 1), x)


def test_shortcut_of_the_released_example():
    y = shortcut(np.arange(32.0).reshape(1, 2, 4, 4).transpose(0, 2, 3, 1), 4, 2)
    np.testing.assert_array_equal(y[0, 0, 0], [0, 0, 16, 0])
    np.testing.assert_array_equal(y[0, :, :, 1], [[0, 2], [8, 10]])


def peer(torch, params, stats, images, train):
    """Features of the network of depth 8, written with PyTorch's own operations."""
    functional = torch.nn.functional

    def norm(x, name, tree):
        get = {**tree[0][name], **tree[1][name]}
        y = functional.batch_norm(
            x, get["mean"], get["var"], get["scale"], get["bias"], train, 0.1, 1e-5
        )
        return y

    def conv(x, leaf, stride=1):
        return functional.conv2d(x, leaf.permute(3, 2, 0, 1), None, stride, 1)

    x = conv(images.permute(0, 3, 1, 2), params["conv"]["kernel"])
    x = norm(x, "norm", (params, stats)).relu()
    for stage in (1, 2, 3):
        tree = tuple(t[f"stage{stage}_block1"] for t in (params, stats))
        stride = 1 if stage == 1 else 2
        y = conv(x, tree[0]["conv1"]["kernel"], stride)
        y = norm(y, "norm1", tree).relu()
        y = norm(conv(y, tree[0]["conv2"]["kernel"]), "norm2", tree)
        extra = y.shape[1] - x.shape[1]
        x = x[:, :, ::stride, ::stride]
        x = functional.pad(x, (0, 0, 0, 0, extra // 2, extra // 2))
        x = (x + y).relu()
    return x.mean((2, 3))


@pytest.mark.parametrize("train", [False, True])
def test_features_gradients_and_statistics_equal_pytorch(train):
    torch = pytest.importorskip("torch")

    def tensor(leaf):
        return torch.tensor(np.float64(leaf))

    params, stats = (
        jax.tree.map(tensor, VARIABLES[name]) for name in ("params", "batch_stats")
    )
    leaves = jax.tree.leaves(params)
    for leaf in leaves:
        leaf.requires_grad_()
    theirs = peer(torch, params, stats, tensor(IMAGES), train)
    weights = RNG.normal(size=theirs.shape).astype(np.float32)
    (theirs * tensor(weights)).sum().backward()

    @jax.jit
    def ours(params):
        features, new = SMALL.apply(
            VARIABLES | {"params": params}, IMAGES, train=train, mutable=["batch_stats"]
        )
        return (features * weights).sum(), (features, new["batch_stats"])

    (_, (features, new)), grads = jax.value_and_grad(ours, has_aux=True)(
        VARIABLES["params"]
    )
    assert features.shape == (8, 16)
    assert features.dtype == jnp.float32
    np.testing.assert_allclose(features, theirs.detach(), rtol=1e-5, atol=1e-5)
    for got, leaf in zip(jax.tree.leaves(grads), leaves):
        expected = leaf.grad.numpy()
        # Against float64, through 7 layers: relative to the leaf's largest gradient.
        limit = 2e-5 * np.abs(expected).max() + 2e-5
        np.testing.assert_allclose(got, expected, rtol=0, atol=limit)

    # PyTorch's running variance is n / (n - 1) times the one used here and by Flax.
    for names, mean in jax.tree_util.tree_leaves_with_path(stats):
        got = new
        for name in names:
            got = got[name.key]
        if names[-1].key == "mean":
            np.testing.assert_allclose(got, mean, rtol=1e-5, atol=1e-5)
        elif not train:
            np.testing.assert_array_equal(got, mean.float())


def test_bfloat16_runs_with_float32_parameters_and_statistics():
    model = CifarResNet(depth=8, width=4, dtype=jnp.bfloat16)

    @jax.jit
    def features(variables):
        return model.apply(variables, IMAGES, train=True, mutable=["batch_stats"])

    got, new = features(VARIABLES)
    whole, _ = SMALL.apply(VARIABLES, IMAGES, train=True, mutable=["batch_stats"])
    chex.assert_trees_all_equal_dtypes(new["batch_stats"], VARIABLES["batch_stats"])
    assert got.dtype == jnp.float32
    np.testing.assert_allclose(got, whole, atol=0.1)  # 8 bits, through 7 layers
    assert np.abs(got - whole).max() > 0


def test_two_devices_equal_the_whole_batch():
    model = CifarResNet(depth=8, width=4, axis_name="devices")

    def features(images):
        return model.apply(VARIABLES, images, train=True, mutable=["batch_stats"])

    halves, new = jax.pmap(features, "devices")(IMAGES.reshape(2, 4, 8, 8, 1))
    whole, expected = SMALL.apply(
        VARIABLES, IMAGES, train=True, mutable=["batch_stats"]
    )
    np.testing.assert_allclose(halves.reshape(8, 16), whole, rtol=1e-4, atol=1e-5)
    for device in range(2):
        got = jax.tree.map(lambda leaf, device=device: leaf[device], new)
        chex.assert_trees_all_close(got, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("head", [Linear(10), Cosine(10)])
def test_features_and_head_are_separate(head):
    network = Network(SMALL, head)
    variables = jax.jit(network.init)(jax.random.key(0), IMAGES)
    assert set(variables["params"]) == {"features", "head"}
    assert set(variables["batch_stats"]) == {"features"}
    logits = network.apply(variables, IMAGES)
    own = {name: variables[name]["features"] for name in variables}
    features = SMALL.apply(own, IMAGES)
    by_hand = head.apply({"params": variables["params"]["head"]}, features)
    np.testing.assert_array_equal(logits, by_hand)
    new = jax.eval_shape(
        lambda: network.apply(variables, IMAGES, train=True, mutable=["batch_stats"])[1]
    )
    chex.assert_trees_all_equal_structs(new["batch_stats"], variables["batch_stats"])


def test_small_network_learns_a_small_problem():
    network = Network(SMALL, Linear(2))
    labels = (IMAGES[:, :4].mean((1, 2, 3)) > IMAGES[:, 4:].mean((1, 2, 3))).astype(int)
    variables = jax.jit(network.init)(jax.random.key(1), IMAGES)

    def loss(params, stats):
        logits, new = network.apply(
            {"params": params, "batch_stats": stats},
            IMAGES,
            train=True,
            mutable=["batch_stats"],
        )
        picked = jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], 1)
        return -picked.mean(), new["batch_stats"]

    def step(state, _):
        params, stats = state
        (value, stats), grads = jax.value_and_grad(loss, has_aux=True)(params, stats)
        return (jax.tree.map(lambda p, g: p - 0.1 * g, params, grads), stats), value

    state = variables["params"], variables["batch_stats"]
    losses = jax.jit(lambda state: jax.lax.scan(step, state, length=40)[1])(state)
    assert losses[0] > 0.3
    assert losses[-1] < 0.1
