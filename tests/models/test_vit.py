"""Vision transformers against ones written in PyTorch, by the names of their files."""

import dataclasses
import types
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ltjax.config import QuickGelu, Vit
from ltjax.mistake import Mistake
from ltjax.models import attention, resize, vit, weights

pytestmark = pytest.mark.usefixtures("compiled_once")

SMALL = Vit(dim=24, depth=2, heads=3, patch=4, image=16)
CLASSES = 5
BOUND = 5e-6  # of the largest output
KINDS = {
    "timm, DINO": {},
    "DeiT": {"tokens": 2},
    "registers": {"registers": 3, "layer_scale": True},
    "CLIP": {"pre_norm": True},
}


def images(size=16, count=3):
    return np.random.default_rng(1).normal(size=(count, size, size, 3)).astype("f4")


def shapes(net, size=16):
    image = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)
    return jax.eval_shape(net.init, jax.random.key(0), image)


def in_torch(torch, kind, gelu="none", epsilon=None, patches_only=False):
    """A network of that kind with the attributes, so the names, of timm's."""
    nn, functional = torch.nn, torch.nn.functional
    epsilon = epsilon or (1e-5 if kind.pre_norm else 1e-6)
    dim, depth, heads = kind.shape

    def act(x):
        if gelu == "quick":
            return x * torch.sigmoid(1.702 * x)
        return functional.gelu(x, approximate=gelu)

    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

        def forward(self, x):
            parts = self.qkv(x).unflatten(-1, (3, heads, dim // heads))
            query, key, value = parts.permute(2, 0, 3, 1, 4)
            scores = query @ key.transpose(-1, -2) / (dim // heads) ** 0.5
            return self.proj((scores.softmax(-1) @ value).transpose(1, 2).flatten(2))

    class Scale(nn.Module):
        def __init__(self):
            super().__init__()
            self.gamma = nn.Parameter(torch.ones(dim))

        def forward(self, x):
            return x * self.gamma

    class Mlp(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc1, self.fc2 = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)

        def forward(self, x):
            return self.fc2(act(self.fc1(x)))

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm1, self.norm2 = (nn.LayerNorm(dim, epsilon) for _ in range(2))
            self.attn, self.mlp = Attention(), Mlp()
            scale = Scale if kind.layer_scale else nn.Identity
            self.ls1, self.ls2 = scale(), scale()

        def forward(self, x):
            x = x + self.ls1(self.attn(self.norm1(x)))
            return x + self.ls2(self.mlp(self.norm2(x)))

    class Embedding(nn.Module):
        def __init__(self):
            super().__init__()
            size = kind.patch
            self.proj = nn.Conv2d(3, dim, size, size, bias=not kind.pre_norm)

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
            if kind.tokens > 1:
                self.dist_token = nn.Parameter(torch.zeros(1, 1, dim))
            if kind.registers:
                self.reg_token = nn.Parameter(torch.zeros(1, kind.registers, dim))
            own = 0 if patches_only else kind.tokens
            places = own + (kind.image // kind.patch) ** 2
            self.pos_embed = nn.Parameter(torch.zeros(1, places, dim))
            self.patch_embed = Embedding()
            if kind.pre_norm:
                self.norm_pre = nn.LayerNorm(dim, epsilon)
            self.blocks = nn.ModuleList(Block() for _ in range(depth))
            self.norm = nn.LayerNorm(dim, epsilon)
            self.head = nn.Linear(dim, CLASSES)
            if kind.tokens > 1:
                self.head_dist = nn.Linear(dim, CLASSES)

        def forward(self, x):
            x = self.patch_embed.proj(x).flatten(2).transpose(1, 2)
            own = [self.cls_token] + ([self.dist_token] if kind.tokens > 1 else [])
            own = [token.expand(len(x), -1, -1) for token in own]
            if patches_only:
                x = torch.cat([*own, x + self.pos_embed], 1)
            else:
                x = torch.cat([*own, x], 1) + self.pos_embed
            if kind.registers:
                register = self.reg_token.expand(len(x), -1, -1)
                x = torch.cat([x[:, : kind.tokens], register, x[:, kind.tokens :]], 1)
            x = self.norm_pre(x) if kind.pre_norm else x
            for block in self.blocks:
                x = block(x)
            x = self.norm(x)
            if kind.tokens == 1:
                return self.head(x[:, 0])
            return torch.stack([self.head(x[:, 0]), self.head_dist(x[:, 1])], 1)

    net = Network().double()
    draw = np.random.default_rng(0)
    with torch.no_grad():
        for name, leaf in net.named_parameters():
            # Matrices are large, so that an activation bends; what is normed is small,
            # so that an epsilon counts.
            spread = 0.004 if "token" in name or "pos" in name else 0.35
            if "patch_embed" in name:
                spread = 0.0005
            found = draw.normal(size=leaf.shape) * spread
            leaf.copy_(torch.tensor(found))
    return net


def run_torch(torch, net, x):
    x = torch.tensor(x, dtype=torch.float64).permute(0, 3, 1, 2)
    with torch.no_grad():
        return net(x).numpy()


def far(got, wanted):
    """The largest difference, a share of the largest output."""
    return np.abs(got - wanted).max() / np.abs(wanted).max()


@pytest.mark.parametrize("kind", KINDS)
def test_outputs_are_those_of_pytorch_by_names(kind):
    torch = pytest.importorskip("torch")
    model = dataclasses.replace(SMALL, **KINDS[kind])
    peer = in_torch(torch, model)
    tensors = {k: v.numpy().astype("f4") for k, v in peer.state_dict().items()}
    with torch.no_grad():  # what the float32 of a file is
        for name, leaf in peer.named_parameters():
            leaf.copy_(torch.tensor(tensors[name]))
    wanted = run_torch(torch, peer, images())
    net = model.make(CLASSES)
    variables = weights.to_variables(tensors, shapes(net))
    got = np.asarray(jax.jit(net.apply)(variables, images()))
    assert far(got, wanted) < BOUND
    # These weights tell the network from those next to it.
    epsilon = 1e-6 if model.pre_norm else 1e-5
    for other in ({"gelu": "tanh"}, {"gelu": "quick"}, {"epsilon": epsilon}):
        near = in_torch(torch, model, **other)
        near.load_state_dict(peer.state_dict())
        assert far(run_torch(torch, near, images()), wanted) > 10 * BOUND, other
    back = weights.to_tensors(variables)
    assert back.keys() == tensors.keys()
    for name, array in tensors.items():
        np.testing.assert_array_equal(back[name], array)
    if model.tokens == 2:
        own = {"params": variables["params"]["features"]}
        features = net.features.apply(own, images())
        assert features.shape == (3, 2, 24)
        one = features[:, 1] @ tensors["head_dist.weight"].T
        one += np.broadcast_to(tensors["head_dist.bias"], one.shape)
        np.testing.assert_allclose(one, got[:, 1], rtol=0, atol=1e-5 * abs(got).max())


def test_the_activation_of_openai_is_one_of_its_own():
    torch = pytest.importorskip("torch")
    model = dataclasses.replace(SMALL, pre_norm=True, activation=QuickGelu())
    peer = in_torch(torch, model, gelu="quick").float().double()
    tensors = {k: v.numpy().astype("f4") for k, v in peer.state_dict().items()}
    net = model.make(CLASSES)
    got = net.apply(weights.to_variables(tensors, shapes(net)), images())
    assert far(np.asarray(got), run_torch(torch, peer, images())) < BOUND


def test_positions_of_patches_alone_are_those_of_files_without_class_tokens():
    torch = pytest.importorskip("torch")
    peer = in_torch(torch, SMALL, patches_only=True).float().double()
    tensors = {k: v.numpy().astype("f4") for k, v in peer.state_dict().items()}
    net = SMALL.make(CLASSES)
    got = net.apply(weights.to_variables(tensors, shapes(net)), images())
    assert far(np.asarray(got), run_torch(torch, peer, images())) < BOUND


@pytest.mark.parametrize(
    ("model", "classes", "count"),
    [  # of the release, as counted there, and of timm
        (Vit(tokens=2), 10, 85_815_572),
        (Vit(tokens=2), 100, 85_953_992),
        (Vit(tokens=2), 1000, 87_338_192),
        (Vit(tokens=2), 8142, 98_322_588),
        (Vit(), 1000, 86_567_656),
        (Vit(size="small"), 1000, 22_050_664),
        (Vit(size="tiny"), 1000, 5_717_416),
        (Vit(pre_norm=True), 1000, 86_568_424),
    ],
)
def test_parameters(model, classes, count):
    found = shapes(model.make(classes), 224)
    assert sum(leaf.size for leaf in jax.tree.leaves(found)) == count


@pytest.mark.parametrize(
    ("old", "new"), [((16, 16), (9, 5)), ((7, 7), (14, 11)), ((224, 224), (32, 32))]
)
@pytest.mark.parametrize("antialias", [False, True])
def test_sizes_change_as_in_pytorch(old, new, antialias):
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).normal(size=(2, *old, 3)).astype("f4")
    wanted = torch.nn.functional.interpolate(
        torch.tensor(x).double().permute(0, 3, 1, 2),
        new,
        mode="bicubic",
        align_corners=False,
        antialias=antialias,
    )
    got = resize.bicubic(x, new, antialias)
    np.testing.assert_allclose(got, wanted.permute(0, 2, 3, 1).numpy(), atol=3e-6)


def test_resizing_by_a_whole_number_has_known_weights():
    # Keys' kernel with a = -0.75 is 0.59375 at 1/2 and -0.09375 at 3/2. Halved, the old
    # pixel 3 lies half a pixel beside the new one 1, and so on.
    line = np.zeros((1, 1, 8, 1), np.float32)
    line[0, 0, 3] = 1
    got = np.asarray(resize.bicubic(line, (1, 4)))[0, 0, :, 0]
    np.testing.assert_allclose(got, [0, 0.59375, -0.09375, 0], atol=1e-7)


def test_positions_are_resized_for_other_images():
    net = dataclasses.replace(SMALL, tokens=2).make(CLASSES)
    variables = net.init(jax.random.key(0), images())
    assert net.apply(variables, images(24)).shape == (3, 2, CLASSES)
    # Positions that are all alike stay so.
    table = jnp.full((1, 2 + 16, 4), 0.25).at[:, :2].set(7.0)
    found = vit.positions(table, 2, (6, 3))
    np.testing.assert_allclose(found[:, 2:], 0.25, rtol=1e-6)
    np.testing.assert_array_equal(found[:, :2], table[:, :2])
    assert found.shape == (1, 2 + 18, 4)


def test_blocks_are_left_out_in_training_only():
    net = dataclasses.replace(SMALL, drop_path=0.5).make(CLASSES)
    variables = net.init(jax.random.key(0), images())
    still = net.apply(variables, images())
    call = partial(net.apply, variables, images(), train=True)
    np.testing.assert_array_equal(call(), still)  # without a stream, as for a gate
    drawn = [call(rngs={"dropout": jax.random.key(seed)}) for seed in range(20)]
    assert len({np.asarray(each).tobytes() for each in drawn}) > 10
    # The first block has probability 0; of the last the two branches, each its own.
    own = {each[0].tobytes() for each in map(np.asarray, drawn)}
    assert len(own) <= 4


def test_what_is_recomputed_is_the_same():
    x, labels = images(), np.arange(3)
    found = []
    for recomputed in (False, True):
        model = dataclasses.replace(SMALL, drop_path=0.5, recomputed=recomputed)
        net = model.make(CLASSES)
        variables = net.init(jax.random.key(0), x)

        def loss(variables, net=net):
            rngs = {"dropout": jax.random.key(3)}
            logits = net.apply(variables, x, train=True, rngs=rngs)
            return -jax.nn.log_softmax(logits)[np.arange(3), labels].mean()

        found.append(jax.jit(jax.grad(loss))(variables))
    jax.tree.map(partial(np.testing.assert_allclose, atol=1e-6), *found)


def test_attention_is_the_softmax_of_products():
    query, key, value = np.random.default_rng(0).normal(size=(3, 2, 5, 3, 4))
    scores = np.einsum("bthd,bshd->bhts", query, key) / 2
    shares = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    wanted = np.einsum("bhts,bshd->bthd", shares, value)
    arrays = (jnp.asarray(x, jnp.float32) for x in (query, key, value))
    np.testing.assert_allclose(attention.attend(*arrays), wanted, atol=1e-6)


def test_half_precision_is_near():
    variables = SMALL.make(CLASSES).init(jax.random.key(0), images())
    wanted = SMALL.make(CLASSES).apply(variables, images())
    net = dataclasses.replace(SMALL, dtype="bfloat16").make(CLASSES)
    got = net.apply(variables, images())
    assert got.dtype == jnp.float32
    assert 1e-4 < far(np.asarray(got), np.asarray(wanted)) < 0.05


def test_cudnn_takes_what_it_can(monkeypatch):
    asked = []
    monkeypatch.setattr(
        jax.nn,
        "dot_product_attention",
        lambda *x, implementation: asked.append(implementation),
    )
    gpu = types.SimpleNamespace(device_kind="NVIDIA H200")
    for devices, dtype, dim, kind in (
        ([gpu], jnp.bfloat16, 64, "cudnn"),
        ([gpu], jnp.float32, 64, "xla"),
        ([gpu], jnp.bfloat16, 12, "xla"),
        (jax.devices(), jnp.bfloat16, 64, "xla"),
    ):
        monkeypatch.setattr(jax, "devices", lambda found=devices: found)
        query = jax.ShapeDtypeStruct((1, 5, 2, dim), dtype)
        attention.attend(query, query, query)
        assert asked.pop() == kind


def test_patches_divide_images():
    net = SMALL.make(CLASSES)
    with pytest.raises(Mistake, match=r"model\.patch is 4; it must divide the 18 x 18"):
        shapes(net, 18)
