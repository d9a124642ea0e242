"""MetaFormer against a PyTorch one, by the names of its release.

The network here is written for these tests from what is known of the release: its names
of tensors and its layers, in evaluation mode.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ltjax.config import Config, MetaFormer, limits
from ltjax.mistake import Mistake
from ltjax.models import pretrained, relative, weights
from ltjax.models.metaformer import Block

RNG = np.random.default_rng(0)
CLASSES = 5
SMALL = {
    "conv_dims": (8, 12, 16),
    "attention_dims": (16, 24),
    "conv_blocks": (2, 1),
    "attention_blocks": (2, 1),
    "heads": 4,
    "image": 64,
}
IMAGES = RNG.normal(size=(3, 64, 64, 3)).astype(np.float32)
META = RNG.normal(size=(3, 7)).astype(np.float32)
META[2] = 0


class Peer:
    """The network in evaluation mode, of tensors {name: float64}."""

    def __init__(self, torch, tensors, pieces):
        self.torch, self.functional, self.pieces = torch, torch.nn.functional, pieces
        self.tensors = {
            name: torch.tensor(np.float64(x)) for name, x in tensors.items()
        }
        self.used = set()

    def get(self, name):
        self.used.add(name)
        return self.tensors[name]

    def conv(self, x, name, stride=1, bias=False, groups=1):
        kernel = self.get(f"{name}.weight")
        bias = self.get(f"{name}.bias") if bias else None
        half = kernel.shape[-1] // 2
        return self.functional.conv2d(x, kernel, bias, stride, half, 1, groups)

    def batch_norm(self, x, name, epsilon=1e-5):
        parts = "running_mean", "running_var", "weight", "bias"
        given = (self.get(f"{name}.{part}") for part in parts)
        return self.functional.batch_norm(x, *given, eps=epsilon)

    def layer_norm(self, x, name):
        parts = self.get(f"{name}.weight"), self.get(f"{name}.bias")
        return self.functional.layer_norm(x, x.shape[-1:], *parts)

    def linear(self, x, name, bias=True):
        bias = self.get(f"{name}.bias") if bias else None
        return self.functional.linear(x, self.get(f"{name}.weight"), bias)

    def mlp(self, x, name):
        x = self.functional.gelu(self.linear(x, f"{name}.fc1"))
        return self.linear(x, f"{name}.fc2")

    def stem(self, x):
        x = self.batch_norm(self.conv(x, "stage_0.0", 2), "stage_0.1").relu()
        x = self.batch_norm(self.conv(x, "stage_0.3"), "stage_0.4").relu()
        x = self.batch_norm(self.conv(x, "stage_0.6"), "bn1").relu()
        return self.functional.max_pool2d(x, 3, 2, 1)

    def mobile(self, x, name, stride):
        silu = self.functional.silu
        y = self.conv(x, f"{name}._expand_conv")
        y = silu(self.batch_norm(y, f"{name}._bn0", 0.01))
        y = self.conv(y, f"{name}._depthwise_conv", stride, groups=y.shape[1])
        y = silu(self.batch_norm(y, f"{name}._bn1", 0.01))
        seen = y.mean((2, 3), keepdim=True)
        seen = silu(self.conv(seen, f"{name}._se_reduce", bias=True))
        y = y * self.conv(seen, f"{name}._se_expand", bias=True).sigmoid()
        y = self.batch_norm(self.conv(y, f"{name}._project_conv"), f"{name}._bn2", 0.01)
        return x + y if stride == 1 and x.shape == y.shape else y

    def bias(self, name, side, tokens):
        """The numbers of all pairs of tokens, one pair at a time."""
        table = self.get(f"{name}.relative_position_bias_table")
        extra = tokens - side * side
        found = table[0].repeat(tokens, tokens, 1)
        for query, key in itertools.product(range(side * side), repeat=2):
            down = query // side - key // side + side - 1
            right = query % side - key % side + side - 1
            row = down * (2 * side - 1) + right
            found[extra + query, extra + key] = table[row]
        return found.permute(2, 0, 1)

    def block(self, x, name, side, heads):
        batch, tokens, dim = x.shape
        y = self.layer_norm(x, f"{name}.norm1")
        packed = self.linear(y, f"{name}.attn.qkv", bias=False)
        packed = packed.reshape(batch, tokens, 3, heads, dim // heads)
        query, key, value = packed.permute(2, 0, 3, 1, 4)
        logits = query * (dim // heads) ** -0.5 @ key.transpose(-2, -1)
        logits = logits + self.bias(f"{name}.attn", side, tokens)
        y = (logits.softmax(-1) @ value).transpose(1, 2).reshape(x.shape)
        x = x + self.linear(y, f"{name}.attn.proj")
        y = self.layer_norm(x, f"{name}.norm2")
        return x + self.mlp(y, f"{name}.mlp")

    def known(self, x, name):
        x = self.layer_norm(self.linear(x, f"{name}.0").relu(), f"{name}.2")
        y = self.linear(x, f"{name}.3.w1").relu()
        y = self.layer_norm(y, f"{name}.3.norm_fn1")
        y = self.linear(y, f"{name}.3.w2").relu()
        return (x + self.layer_norm(y, f"{name}.3.norm_fn2"))[:, None]

    def attention(self, x, stage, meta, blocks, heads):
        embed = f"stage_{stage}.0.patch_embed"
        x = self.conv(x, f"{embed}.proj", 2, bias=True)
        side = x.shape[-1]
        x = self.layer_norm(x.flatten(2).transpose(1, 2), f"{embed}.norm")
        token = self.get(f"cls_token_{stage - 2}").expand(len(x), -1, -1)
        first, extra = 0, [token]
        for at, width in enumerate(self.pieces, 1):
            piece = meta[:, first : first + width]
            extra.append(self.known(piece, f"meta_{at}_head_{stage - 2}"))
            first += width
        x = self.torch.cat([*extra, x], 1)
        for block in range(blocks):
            x = self.block(x, f"stage_{stage}.{block}", side, heads)
        patches = x[:, len(extra) :].transpose(1, 2)
        return patches.reshape(len(x), -1, side, side), x[:, 0]

    def __call__(self, images, meta, sizes):
        x = self.stem(self.torch.tensor(images).double().permute(0, 3, 1, 2))
        meta = self.torch.tensor(meta).double()
        for stage, blocks in zip((1, 2), sizes["conv_blocks"]):
            for block in range(blocks):
                stride = 2 if stage == 2 and block == 0 else 1
                x = self.mobile(x, f"stage_{stage}.{block}", stride)
        one, other = sizes["attention_blocks"]
        x, first = self.attention(x, 3, meta, one, sizes["heads"])
        _, last = self.attention(x, 4, meta, other, sizes["heads"])
        first = self.mlp(self.layer_norm(first, "norm_1"), "cl_1_fc.0")
        first = self.layer_norm(first, "cl_1_fc.1")
        last = self.layer_norm(last, "norm_2")
        pair = self.torch.stack([first, last], 1)
        joint = self.functional.conv1d(
            pair, self.get("aggregate.weight"), self.get("aggregate.bias")
        )
        return self.linear(self.layer_norm(joint[:, 0], "norm"), "head")


def shapes(net, image, width):
    """The variables of a network, as shapes."""
    found = [jax.ShapeDtypeStruct((1, image, image, 3), jnp.float32)]
    if width:
        found.append(jax.ShapeDtypeStruct((1, width), jnp.float32))
    return jax.eval_shape(net.init, jax.random.key(0), *found)


def some(like):
    """Variables of those shapes, such that every layer matters."""

    def draw(path, leaf):
        name, size = path[-1].key, leaf.shape
        if name == "var":
            return RNG.uniform(0.005, 0.5, size).astype(np.float32)
        if name in ("scale",):
            return RNG.uniform(0.5, 1.5, size).astype(np.float32)
        spread = 1.0 if len(size) < 2 or name == "table" else np.prod(size[:-1]) ** -0.5
        return (spread * RNG.normal(size=size)).astype(np.float32)

    return jax.tree.map_with_path(draw, like)


@pytest.mark.parametrize("pieces", [(), (4, 3)])
def test_it_is_the_released_network(pieces):
    torch = pytest.importorskip("torch")
    net = MetaFormer(meta=pieces, **SMALL).make(CLASSES)
    like = shapes(net, 64, sum(pieces))
    variables = some(like)
    tensors = weights.to_tensors(variables)
    # What comes with a state dict besides.
    released = dict(tensors)
    released["stage_0.1.num_batches_tracked"] = np.int64(7)
    released["stage_3.0.attn.relative_position_index"] = np.zeros((17, 17), np.int64)
    read = weights.to_variables(released, like)
    jax.tree.map(np.testing.assert_array_equal, read, variables)
    peer = Peer(torch, tensors, pieces)
    wanted = peer(IMAGES, META, SMALL).numpy()
    got = net.apply(variables, *((IMAGES, META) if pieces else (IMAGES,)))
    assert peer.used == tensors.keys()
    np.testing.assert_allclose(got, wanted, atol=3e-5 * np.abs(wanted).max())


@pytest.mark.parametrize(
    ("size", "pieces", "count"),
    [
        (0, (), 28_721_195),
        (1, (), 45_873_035),
        (2, (), 81_299_563),
        (0, (4, 3), 31_699_115),
        (1, (4, 3), 48_850_955),
        (2, (4, 3), 86_580_843),
    ],
)
def test_parameters_of_the_released_sizes(size, pieces, count):
    net = MetaFormer(size=size, meta=pieces).make(1000)
    params = shapes(net, 224, sum(pieces))["params"]
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == count
    tables = params["features"]
    assert tables["stage3_0"]["attention"]["table"].shape == (8, 730)
    assert tables["stage4_0"]["attention"]["table"].shape == (8, 170)


@pytest.mark.parametrize("size", [0, 2])
def test_tables_at_384_pixels(size):
    params = shapes(MetaFormer(size=size, image=384).make(2), 384, 0)["params"]
    features = params["features"]
    assert features["stage3_1"]["attention"]["table"].shape == (8, 2210)
    assert features["stage4_1"]["attention"]["table"].shape == (8, 530)


def test_as_released_extra_tokens_share_a_row_and_the_last_is_never_read():
    pairs = relative.index(14, 14, 3)
    assert (pairs[:3] == 0).all()
    assert (pairs[:, :3] == 0).all()
    assert pairs[3, -1] == 0  # of the first patch and the last
    assert pairs.max() == 728
    assert relative.rows(14, 14) == 730


def test_corrected_no_patch_reads_the_row_of_extra_tokens():
    pairs = relative.index(3, 3, 2, corrected=True)
    assert (pairs[:2] == 0).all()
    assert set(pairs[2:, 2:].ravel()) == set(range(1, relative.rows(3, 3)))
    # Of equal distances the same row, of others another.
    moves = {}
    for query, key in itertools.product(range(9), repeat=2):
        move = query // 3 - key // 3, query % 3 - key % 3
        moves.setdefault(move, set()).add(pairs[2 + query, 2 + key])
    assert all(len(found) == 1 for found in moves.values())
    assert len(set.union(*moves.values())) == len(moves) == 25


def test_tables_are_resized_over_the_distances():
    torch = pytest.importorskip("torch")
    table = RNG.normal(size=(relative.rows(4, 4), 2)).astype(np.float32)
    wanted = torch.nn.functional.interpolate(
        torch.tensor(table[:-1]).reshape(1, 7, 7, 2).permute(0, 3, 1, 2),
        size=(11, 11),
        mode="bicubic",
        align_corners=False,
    )
    wanted = wanted[0].permute(1, 2, 0).reshape(121, 2).numpy()
    found = relative.resized(table, 6)
    assert found.shape == (relative.rows(6, 6), 2)
    np.testing.assert_allclose(found[1:-1], wanted[1:], atol=1e-5)
    np.testing.assert_array_equal(found[0], table[0])  # of extra tokens
    np.testing.assert_array_equal(relative.resized(table, 4), table)


def test_a_corrected_network_computes_what_the_released_one_does():
    table = RNG.normal(size=(relative.rows(3, 3), 2))
    pairs = relative.index(3, 3, 2), relative.index(3, 3, 2, corrected=True)
    moved = relative.corrected(table)
    np.testing.assert_array_equal(table[pairs[0]], moved[pairs[1]])


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({"image": 96, "meta": (5,)}, False),
        ({"image": 96, "meta": (4, 3)}, True),
        ({"meta": ()}, False),
        ({"meta": (4, 3), "corrected": True}, True),
    ],
)
def test_a_run_begins_with_a_file_of_another_kind(tmp_path, changes, kept):
    trained = MetaFormer(meta=(4, 3), **SMALL).make(CLASSES + 1)
    variables = some(shapes(trained, 64, 7))
    file = tmp_path / "released.npz"
    weights.write(file, weights.to_tensors(variables))
    record = MetaFormer(**{**SMALL, **changes}, pretrained=str(file))
    body = record.make(CLASSES).features
    known = pretrained.read(file, body)
    features = known.features["params"]
    assert ("stage4_meta1" in features) == kept
    own = variables["params"]["features"]
    np.testing.assert_array_equal(
        features["stage4_0"]["mlp"]["fc1"]["kernel"],
        own["stage4_0"]["mlp"]["fc1"]["kernel"],
    )
    side = record.image // 32
    table = features["stage4_0"]["attention"]["table"]
    assert table.shape == (4, relative.rows(side, side))
    args = [jnp.zeros((1, record.image, record.image, 3))]
    if record.meta:
        args.append(jnp.zeros((1, sum(record.meta))))
    like = jax.eval_shape(record.make(CLASSES).init, jax.random.key(0), *args)
    begun = pretrained.begin(like, known)
    assert jax.tree.structure(begun) == jax.tree.structure(like)
    shape = jax.tree.map(np.shape, begun) == jax.tree.map(np.shape, like)
    assert shape


def test_the_convolutions_are_a_trunk(tmp_path):
    net = MetaFormer(meta=(4, 3), **SMALL).make(CLASSES)
    variables = some(shapes(net, 64, 7))
    file = tmp_path / "released.npz"
    weights.write(file, weights.to_tensors(variables))
    trained = "stage4", "joint", "head"
    known = pretrained.read(file, net.features, trained)
    assert known.first == 1
    first = "stage0", "stage1", "stage2"
    names = {n for n in variables["params"]["features"] if n.startswith(first)}
    assert known.below["params"].keys() == names
    cut = pretrained.above(net, known)
    maps = known.trunk(known.below, IMAGES)
    assert maps.shape == (3, 8, 8, 16)
    rest = {"params": {**known.features["params"]}}
    got = cut.features.apply(rest, maps, META)
    own = {kind: tree["features"] for kind, tree in variables.items()}
    wanted = net.features.apply(own, IMAGES, META)
    np.testing.assert_allclose(got, wanted, atol=1e-5)


def test_only_the_last_token_needs_no_aggregation():
    net = MetaFormer(both=False, **SMALL).make(CLASSES)
    features = shapes(net, 64, 0)["params"]["features"]
    assert {name for name in features if name.startswith("joint")} == {
        "joint_norm3",
        "joint_norm4",
    }


@pytest.mark.parametrize(("stem", "side"), [(4, 4), (2, 8), (1, 16)])
def test_a_stem_for_small_images(stem, side):
    record = MetaFormer(stem=stem, **SMALL)
    features = shapes(record.make(CLASSES), 64, 0)["params"]["features"]
    rows = features["stage3_0"]["attention"]["table"].shape[1]
    assert rows == relative.rows(side, side)


def test_blocks_are_left_out_in_training_only():
    block = Block(heads=2, map=(1, 1), drop=0.5)
    x = jnp.asarray(RNG.normal(size=(400, 3, 4)), jnp.float32)
    variables = block.init(jax.random.key(0), x)
    rngs = {"dropout": jax.random.key(1)}
    plain = block.apply(variables, x)
    np.testing.assert_array_equal(plain, block.apply(variables, x, rngs=rngs))
    # Without a stream nothing is left out, as where statistics are looked at only.
    np.testing.assert_array_equal(plain, block.apply(variables, x, train=True))
    seen = block.apply(variables, x, train=True, rngs=rngs)
    same = np.asarray((seen == x).all((1, 2)))
    assert 0.18 < same.mean() < 0.32  # of examples that both halves left out
    np.testing.assert_allclose(np.mean(seen - x), np.mean(plain - x), atol=0.01)


def test_chances_rise_over_all_blocks():
    drops = MetaFormer(size=0).body().drops()
    assert np.round(drops[:5], 5).tolist() == [0, 0.00909, 0.01818, 0.02727, 0.03636]
    assert np.round(drops[-3:], 5).tolist() == [0.08182, 0.09091, 0.1]
    assert len(drops) == 12


def test_first_weights_are_as_released():
    net = MetaFormer(meta=(4, 3)).make(1000)

    def init():
        images = jnp.zeros((1, 224, 224, 3))
        return net.init(jax.random.key(0), images, jnp.zeros((1, 7)))

    # Only what is asked for is worked out.
    def of(*path):
        def one():
            leaf = init()["params"]["features"]
            for name in path:
                leaf = leaf[name]
            return leaf

        return np.asarray(jax.jit(one)())

    table = of("stage3_0", "attention", "table")
    np.testing.assert_allclose(table.std(), 0.02, rtol=0.05)
    alone = of("stage2_1", "depthwise", "kernel")  # of fan-out 9 x channels
    np.testing.assert_allclose(alone.std(), (2 / (9 * 768)) ** 0.5, rtol=0.05)
    patches = of("stage4_embed", "proj", "kernel")
    np.testing.assert_allclose(patches.std(), (2 / (9 * 768)) ** 0.5, rtol=0.01)


def refused(**changes):
    config = Config(model=MetaFormer(**changes))
    with pytest.raises(Mistake) as caught:
        limits.check(config)
    return str(caught.value)


def test_mistakes():
    assert "stage4 and joint must train, too" in refused(
        trained=("head",), pretrained="a.npz"
    )
    told = refused(heads=7)
    assert told == "model.attention_dims has 384; 7 heads must divide it"
    assert "at least 4" in refused(conv_dims=(3, 8, 8))
    assert refused(meta=(4, 0)).startswith("model.meta is (4, 0); it must be")
    net = MetaFormer(meta=(4, 3), **SMALL).make(CLASSES)
    with pytest.raises(ValueError, match="meta has 5 columns, wanted 7"):
        shapes(net, 64, 5)


def test_it_is_a_graph_of_two_inputs_for_onnx(tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    converter = pytest.importorskip("jax2onnx")
    small = {**SMALL, "conv_blocks": (1, 1), "attention_blocks": (1, 1), "image": 32}
    net = MetaFormer(meta=(4, 3), **small).make(CLASSES)
    variables = some(shapes(net, 32, 7))
    images = IMAGES[:, :32, :32]

    def apply(images, meta):
        with jax.disable_jit():
            return net.apply(variables, images, meta)

    rows = jax.export.symbolic_shape("N")
    inputs = (jax.ShapeDtypeStruct((*rows, 32, 32, 3), jnp.float32),)
    inputs += (jax.ShapeDtypeStruct((*rows, 7), jnp.float32),)
    names = ["images", "meta"]
    model = converter.to_onnx(apply, list(inputs), opset=21, input_names=names)
    session = runtime.InferenceSession(model.SerializeToString())
    (got,) = session.run(None, {"images": images, "meta": META})
    wanted = net.apply(variables, images, META)
    np.testing.assert_allclose(got, wanted, atol=1e-4 * np.abs(wanted).max())
