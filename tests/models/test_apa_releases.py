"""Networks with gates against PyTorch ones, by the names of APA's release.

The networks here are written for these tests from what is known of the release: its
names of tensors and its layers, in evaluation mode.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ltjax.config import Aglu, Apa, Cbam, CifarResNet, Cosine, Relu, ResNet, Se
from ltjax.models import weights

pytestmark = pytest.mark.usefixtures("compiled_once")

RNG = np.random.default_rng(0)
CLASSES = 7
FIXED = Cosine(scale=16.0, norm="squashed")
LEARNT = Cosine(scale=25.0, norm="squashed", learnt=True)
SE, CB = Se(reduction=4, activation=Apa()), Cbam(reduction=4, activation=Apa())
HALF = Cbam(reduction=4, activation=Apa(), sigmoid_places=True)


class Peer:
    """A network in evaluation mode, of tensors {name: float64}."""

    def __init__(self, torch, tensors, *, gumbel, places=False, fixed=16.0):
        self.torch, self.functional = torch, torch.nn.functional
        self.tensors = {
            name: torch.tensor(np.float64(x)) for name, x in tensors.items()
        }
        self.gumbel, self.places, self.fixed = gumbel, places, fixed
        self.used = set()

    def get(self, name):
        self.used.add(name)
        return self.tensors[name]

    def eta(self, z, name, least):
        kappa, lam = (self.get(f"{name}.{x}_param") for x in ("kappa", "lambda"))
        lam = least(lam)
        # As the release has it: softplus of the other sign.
        y = kappa * z - lam.log()
        return (self.functional.logsigmoid(y) / lam).exp()

    def gate(self, z, name, gumbel):
        if not gumbel:
            return z.sigmoid()
        return self.eta(z, name, lambda lam: lam.clamp(min=1e-4))

    def unit(self, z, name):
        if not self.gumbel:
            return z.relu()
        return z * self.eta(z, name, lambda lam: lam.relu() + 1e-8)

    def norm(self, x, name):
        parts = "running_mean", "running_var", "weight", "bias"
        return self.functional.batch_norm(x, *(self.get(f"{name}.{p}") for p in parts))

    def conv(self, x, name, stride=1, groups=1):
        kernel = self.get(f"{name}.weight")
        half = kernel.shape[-1] // 2
        return self.functional.conv2d(x, kernel, None, stride, half, 1, groups)

    def layer_norm(self, x, name):
        parts = self.get(f"{name}.weight"), self.get(f"{name}.bias")
        return self.functional.layer_norm(x, x.shape[-1:], *parts)

    def linear(self, x, name, bias=False):
        bias = self.get(f"{name}.bias") if bias else None
        return self.functional.linear(x, self.get(f"{name}.weight"), bias)

    def se(self, x, name, act):
        seen = x.mean((2, 3))
        if self.gumbel:
            seen = self.layer_norm(seen, f"{name}.norm")
        seen = self.linear(seen, f"{name}.excitation.0").relu()
        seen = self.linear(seen, f"{name}.excitation.2")
        return x * self.gate(seen, f"{name}.{act}", self.gumbel)[:, :, None, None]

    def cbam(self, x, name):
        own = f"{name}.ChannelGate"
        total = 0
        for pooled in (x.mean((2, 3)), x.amax((2, 3))):
            seen = self.layer_norm(pooled, f"{own}.norm")
            seen = self.linear(seen, f"{own}.mlp.1", bias=True).relu()
            total = total + self.linear(seen, f"{own}.mlp.3", bias=True)
        x = x * self.gate(total, f"{own}.uniact", self.gumbel)[:, :, None, None]
        own = f"{name}.SpatialGate"
        maps = self.torch.stack([x.amax(1), x.mean(1)], 1)
        seen = self.norm(self.conv(maps, f"{own}.spatial.conv"), f"{own}.spatial.bn")
        return x * self.gate(seen, f"{own}.uniact", self.places)

    def head(self, x, name):
        w = self.get(f"{name}.weight")
        scale = self.fixed
        if f"{name}.scale" in self.tensors:
            scale = self.get(f"{name}.scale") ** 2
        length = x.norm(dim=1, keepdim=True)
        squashed = length / (1 + length) * (x / length)
        return scale * squashed @ (w / w.norm(dim=1, keepdim=True)).T

    def gated(self, x, name, small):
        if any(key.startswith(f"{name}.se.") for key in self.tensors):
            return self.se(x, f"{name}.se", "unact" if small else "uniact")
        return self.cbam(x, f"{name}.cb" if small else f"{name}.cbam")

    def small(self, images, blocks):
        """A CIFAR ResNet."""
        x = self.unit(self.norm(self.conv(images, "conv1"), "bn1"), "unirect")
        for stage in (1, 2, 3):
            for block in range(blocks):
                name = f"layer{stage}.{block}"
                stride = 2 if stage > 1 and block == 0 else 1
                y = self.norm(self.conv(x, f"{name}.conv1", stride), f"{name}.bn1")
                y = self.unit(y, f"{name}.unirect1")
                y = self.norm(self.conv(y, f"{name}.conv2"), f"{name}.bn2")
                y = self.gated(y, name, small=True)
                extra = y.shape[1] - x.shape[1]
                x = x[:, :, ::stride, ::stride]
                x = self.functional.pad(x, (0, 0, 0, 0, extra // 2, extra // 2))
                x = self.unit(x + y, f"{name}.unirect2")
        return self.head(x.mean((2, 3)), "linear")

    def large(self, images, blocks, groups=1):
        """A ResNet or ResNeXt of bottlenecks."""
        x = self.unit(self.norm(self.conv(images, "conv1", 2), "bn1"), "relu")
        x = self.functional.max_pool2d(x, 3, 2, 1)
        for stage, count in enumerate(blocks, 1):
            for block in range(count):
                name = f"layer{stage}.{block}"
                stride = 2 if stage > 1 and block == 0 else 1
                y = self.norm(self.conv(x, f"{name}.conv1"), f"{name}.bn1")
                y = self.unit(y, f"{name}.unirect1")
                y = self.conv(y, f"{name}.conv2", stride, groups)
                y = self.unit(self.norm(y, f"{name}.bn2"), f"{name}.unirect2")
                y = self.norm(self.conv(y, f"{name}.conv3"), f"{name}.bn3")
                y = self.gated(y, name, small=False)
                if block == 0:
                    x = self.conv(x, f"{name}.downsample.0", stride)
                    x = self.norm(x, f"{name}.downsample.1")
                x = self.unit(x + y, f"{name}.unirect3")
        return self.head(x.mean((2, 3)), "fc")


def released(model, pixels, head):
    """Images, our logits, and the tensors as they are called there."""
    net = model.make(CLASSES)
    images = np.float32(RNG.normal(size=(4, pixels, pixels, 3)))
    like = jax.eval_shape(net.init, jax.random.key(0), images)

    def leaf(path, of):
        found = RNG.normal(size=of.shape)
        name = path[-1].key
        if name == "kernel" and path[-2].key != "head":
            found = found / np.sqrt(np.prod(of.shape[:-1]))
        if name in ("scale", "var", "lam"):  # some lam lie below the floor
            found = 1 + 0.4 * found if name != "lam" else 0.4 + 0.3 * found
        if name == "scale" and path[-2].key == "head":
            found = np.full(of.shape, 3.0)
        if name == "kappa":
            found = 0.8 + 0.3 * found
        return np.float32(np.abs(found) if name == "var" else found)

    variables = jax.tree.map_with_path(leaf, like)
    tensors = {
        name.replace("fc.", f"{head}."): x
        for name, x in weights.to_tensors(variables).items()
    }
    counters = {
        n.replace("running_mean", "num_batches_tracked"): np.int64(3)
        for n in tensors
        if "running_mean" in n
    }
    again = weights.to_variables({**tensors, **counters}, like)
    jax.tree.map(np.testing.assert_array_equal, again, variables)
    return images, jax.jit(net.apply)(again, images), tensors


def compare(torch, model, ours, of_images):
    images, found, tensors = ours
    options = {
        "gumbel": model.activation != Relu(),
        "places": getattr(model.gate, "sigmoid_places", None) is False
        and model.activation != Relu(),
    }
    peer = Peer(torch, tensors, **options)
    wanted = of_images(peer, torch.tensor(np.float64(images)).permute(0, 3, 1, 2))
    assert peer.used == set(tensors)
    wanted = wanted.numpy()
    assert np.ptp(wanted) > 0.3
    np.testing.assert_allclose(found, wanted, rtol=0, atol=5e-5 * np.abs(wanted).max())


@pytest.mark.parametrize(
    ("gate", "activation", "head"),
    [
        (SE, Aglu(), FIXED),
        (Se(reduction=4), Relu(), FIXED),
        (CB, Aglu(), FIXED),
        (HALF, Aglu(), FIXED),
        (Cbam(reduction=4), Relu(), FIXED),
        (SE, Aglu(), LEARNT),
    ],
    ids=["se", "se_plain", "cb", "cb_sigmoid_spatial", "cb_plain", "learnt_scale"],
)
def test_networks_for_small_images(gate, activation, head):
    torch = pytest.importorskip("torch")
    model = CifarResNet(depth=14, gate=gate, activation=activation, head=head)
    ours = released(model, 12, "linear")
    compare(torch, model, ours, lambda peer, images: peer.small(images, 2))


@pytest.mark.parametrize("gate", [Se(activation=Apa()), Cbam(activation=Apa())])
def test_networks_for_large_images(gate):
    torch = pytest.importorskip("torch")
    model = ResNet(name="resnet50", gate=gate, activation=Aglu(), head=FIXED)
    ours = released(model, 32, "fc")
    compare(torch, model, ours, lambda peer, x: peer.large(x, (3, 4, 6, 3)))


def test_without_a_head_that_of_the_tensors_is_left_aside():
    model = CifarResNet(depth=8, gate=SE, activation=Aglu(), head=LEARNT)
    net = model.make(CLASSES)
    images = jax.ShapeDtypeStruct((1, 8, 8, 3), jnp.float32)
    variables = jax.tree.map(
        lambda leaf: np.ones(leaf.shape, np.float32),
        jax.eval_shape(net.init, jax.random.key(0), images),
    )
    tensors = weights.to_tensors(variables)
    assert {"fc.weight", "fc.scale", "unirect.kappa_param"} <= tensors.keys()
    assert "layer2.0.se.unact.lambda_param" in tensors
    like = {kind: {"features": tree["features"]} for kind, tree in variables.items()}
    for head in ("fc", "linear"):
        named = {name.replace("fc.", f"{head}."): x for name, x in tensors.items()}
        found = weights.to_variables(named, like)
        jax.tree.map(np.testing.assert_array_equal, found, like)
