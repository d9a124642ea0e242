"""The networks against torchvision's layout written in PyTorch, and their sizes."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ltjax.models import resnet, weights
from ltjax.models.heads import Linear
from ltjax.models.network import Network

pytestmark = pytest.mark.usefixtures("compiled_once")

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(4, 64, 64, 3)).astype(np.float32)
# Blocks per stage, bottlenecks, groups and channels of a group in the first stage.
LAYOUTS = {
    "resnet10": ((1, 1, 1, 1), False, 1, 64),
    "resnet50": ((3, 4, 6, 3), True, 1, 64),
    "resnet101": ((3, 4, 23, 3), True, 1, 64),
    "resnet152": ((3, 8, 36, 3), True, 1, 64),
    "resnext50": ((3, 4, 6, 3), True, 32, 4),
    "resnext101": ((3, 4, 23, 3), True, 32, 4),
    # As these, of one block a stage.
    "short50": ((1, 1, 1, 1), True, 1, 64),
    "shortx50": ((1, 1, 1, 1), True, 32, 4),
}
_SHORT = functools.partial(resnet.ResNet, blocks=(1, 1, 1, 1))
SHORT = {
    "short50": _SHORT,
    "shortx50": functools.partial(_SHORT, groups=32, group_width=4),
}


def peer(torch, blocks, bottleneck, groups, group_width, classes):
    """torchvision's ResNet "v1.5", from its layout; modules have its names."""
    nn = torch.nn

    class Block(nn.Module):
        def __init__(self, before, planes, stride):
            super().__init__()
            after = planes * (4 if bottleneck else 1)
            if bottleneck:
                inner = int(planes * group_width / 64) * groups
                shapes = [
                    (before, inner, 1, 1, 1),
                    (inner, inner, 3, stride, groups),
                    (inner, after, 1, 1, 1),
                ]
            else:
                shapes = [(before, planes, 3, stride, 1), (planes, planes, 3, 1, 1)]
            for i, (a, b, size, step, cut) in enumerate(shapes, 1):
                conv = nn.Conv2d(a, b, size, step, size // 2, groups=cut, bias=False)
                setattr(self, f"conv{i}", conv)
                setattr(self, f"bn{i}", nn.BatchNorm2d(b))
            self.layers = len(shapes)
            self.downsample = None
            if stride != 1 or before != after:
                conv = nn.Conv2d(before, after, 1, stride, bias=False)
                self.downsample = nn.Sequential(conv, nn.BatchNorm2d(after))

        def forward(self, x):
            y = x
            for i in range(1, self.layers + 1):
                y = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(y))
                y = y.relu() if i < self.layers else y
            return (y + (x if self.downsample is None else self.downsample(x))).relu()

    class ResNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
            self.bn1 = nn.BatchNorm2d(64)
            self.maxpool = nn.MaxPool2d(3, 2, 1)
            before = 64
            for stage, count in enumerate(blocks):
                planes, made = 64 * 2**stage, []
                for block in range(count):
                    stride = 2 if stage and not block else 1
                    made.append(Block(before, planes, stride))
                    before = planes * (4 if bottleneck else 1)
                setattr(self, f"layer{stage + 1}", nn.Sequential(*made))
            self.fc = nn.Linear(before, classes)

        def forward(self, x):
            x = self.maxpool(self.bn1(self.conv1(x)).relu())
            x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
            return self.fc(x.mean((2, 3)))

    return ResNet()


def ours(name, classes, **settings):
    made = SHORT[name] if name in SHORT else getattr(resnet, name)
    return Network(made(**settings), Linear(classes))


def shapes_of(network, size=64):
    image = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)
    return jax.eval_shape(network.init, jax.random.key(0), image)


def random_variables(network):
    """Weights of the usual sizes, moved off their special values."""

    def leaf(path, like):
        kind, name = path[0].key, path[-1].key
        if name == "kernel":
            fan = np.prod(like.shape[:-1])
            return RNG.normal(size=like.shape) * np.sqrt(2 / fan)
        low, high = (-0.2, 0.2) if name in ("bias", "mean") else (0.5, 1.5)
        # Small residuals, as of a trained network: 50 blocks do not drown the first.
        part = 0.3 if kind == "params" and name == "scale" else 1.0
        return part * RNG.uniform(low, high, like.shape)

    made = jax.tree.map_with_path(leaf, shapes_of(network))
    return jax.tree.map(lambda x: x.astype(np.float32), made)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        # Published by torchvision, but for ResNet-10 and ResNeXt-101 32x4d, whose sums
        # the next test compares.
        ("resnet50", 25_557_032),
        ("resnet101", 44_549_160),
        ("resnet152", 60_192_808),
        ("resnext50", 25_028_904),
        ("resnext101", 44_177_704),
        ("resnet10", 5_418_792),
    ],
)
def test_parameter_counts(name, parameters):
    shapes = shapes_of(ours(name, 1000), 224)["params"]
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == parameters


@pytest.mark.parametrize("name", LAYOUTS)
def test_names_and_shapes_are_those_of_a_state_dict(name):
    torch = pytest.importorskip("torch")
    with torch.device("meta"):
        state = peer(torch, *LAYOUTS[name], 7).state_dict()
    wanted = {k: tuple(v.shape) for k, v in state.items() if "num_batches" not in k}
    zero, like = np.float32(0), shapes_of(ours(name, 7))
    zeros = jax.tree.map(lambda leaf: np.broadcast_to(zero, leaf.shape), like)
    got = {k: v.shape for k, v in weights.to_tensors(zeros).items()}
    assert got == wanted


@pytest.mark.parametrize(
    ("name", "train"),
    [
        *((name, False) for name in ("resnet10", *SHORT)),
        *((name, True) for name in ("resnet10", *SHORT)),
        # The same blocks again.
        *(
            pytest.param(name, False, marks=pytest.mark.slow)
            for name in (
                "resnet50",
                "resnet101",
                "resnet152",
                "resnext50",
                "resnext101",
            )
        ),
        # Not the deepest: 100 norms over 16 values each magnify PyTorch's float32
        # rounding just as far.
        *(
            pytest.param(name, True, marks=pytest.mark.slow)
            for name in ("resnet50", "resnext50")
        ),
    ],
)
def test_logits_equal_pytorch(name, train):
    torch = pytest.importorskip("torch")
    variables = random_variables(ours(name, 7))
    model = peer(torch, *LAYOUTS[name], 7).double().train(train)
    state = {k: torch.tensor(v) for k, v in weights.to_tensors(variables).items()}
    model.load_state_dict(state, strict=True)
    images = IMAGES if train else IMAGES[:2]
    with torch.no_grad():
        wanted = model(torch.tensor(images).permute(0, 3, 1, 2).double()).numpy()
    # Not compiled as a whole: what equal blocks do is then compiled once.
    got, new = ours(name, 7).apply(
        variables, images, train=train, mutable=["batch_stats"]
    )
    assert got.dtype == jnp.float32
    assert np.abs(wanted).max() > 0.1
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)
    after = model.state_dict()
    for key, mean in weights.to_tensors(new).items():
        if key.endswith("running_mean"):
            np.testing.assert_allclose(mean, after[key], rtol=1e-4, atol=1e-4)


TINY = resnet.resnet10()
TINY_IMAGES = IMAGES[:, :16, :16]
TINY_VARIABLES = {
    kind: tree["features"]
    for kind, tree in random_variables(ours("resnet10", 2)).items()
}
STEM = resnet.resnet10(last=1)
STEM_VARIABLES = {
    kind: {name: leaf for name, leaf in tree.items() if resnet.part(name) < 1}
    for kind, tree in TINY_VARIABLES.items()
}


def test_a_network_cut_in_two_is_the_whole():
    whole = TINY.apply(TINY_VARIABLES, TINY_IMAGES)
    assert whole.shape == (4, 512)
    for cut in (1, 3):
        below, above = (
            {
                kind: {n: v for n, v in tree.items() if first <= resnet.part(n) < last}
                for kind, tree in TINY_VARIABLES.items()
            }
            for first, last in ((0, cut), (cut, resnet.PARTS))
        )
        between = resnet.resnet10(last=cut).apply(below, TINY_IMAGES)
        assert between.ndim == 4
        upper = resnet.resnet10(first=cut)
        chex.assert_trees_all_equal_shapes(
            jax.eval_shape(upper.init, jax.random.key(0), between), above
        )
        np.testing.assert_array_equal(upper.apply(above, between), whole)


def test_a_mapped_axis_pools_batch_norm():
    whole, wanted = STEM.apply(
        STEM_VARIABLES, TINY_IMAGES, train=True, mutable=["batch_stats"]
    )
    model = STEM.copy(axis_name="devices")

    def features(images):
        return model.apply(STEM_VARIABLES, images, train=True, mutable=["batch_stats"])

    halves = TINY_IMAGES.reshape(2, 2, 16, 16, 3)
    got, new = jax.jit(jax.vmap(features, axis_name="devices"))(halves)
    np.testing.assert_allclose(got.reshape(whole.shape), whole, rtol=1e-4, atol=1e-5)
    new = jax.tree.map(lambda leaf: leaf[1], new)
    chex.assert_trees_all_close(new, wanted, rtol=1e-5, atol=1e-5)


def test_bfloat16_has_float32_parameters_statistics_and_features():
    model = resnet.resnet10(dtype=jnp.bfloat16)
    made = jax.eval_shape(model.init, jax.random.key(0), TINY_IMAGES)
    chex.assert_trees_all_equal_dtypes(made, TINY_VARIABLES)
    features, new = jax.eval_shape(
        lambda: model.apply(
            TINY_VARIABLES, TINY_IMAGES, train=True, mutable=["batch_stats"]
        )
    )
    chex.assert_trees_all_equal_dtypes(new["batch_stats"], made["batch_stats"])
    assert features.dtype == jnp.float32
    got = STEM.copy(dtype=jnp.bfloat16).apply(STEM_VARIABLES, TINY_IMAGES)
    assert got.dtype == jnp.bfloat16
    whole = STEM.apply(STEM_VARIABLES, TINY_IMAGES)
    np.testing.assert_allclose(np.float32(got), whole, rtol=0.03, atol=0.03)
