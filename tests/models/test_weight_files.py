import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ltjax.mistake import Mistake
from ltjax.models import resnet, weights
from ltjax.models.heads import Linear
from ltjax.models.network import Network

RNG = np.random.default_rng(0)
NETWORK = Network(resnet.resnet10(), Linear(3))
LIKE = jax.eval_shape(
    NETWORK.init, jax.random.key(0), jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
)
VARIABLES = jax.tree.map(lambda x: RNG.normal(size=x.shape).astype(np.float32), LIKE)
TENSORS = weights.to_tensors(VARIABLES)
# Without the head.
FEATURES = {kind: {"features": tree["features"]} for kind, tree in LIKE.items()}


def test_layouts():
    params = VARIABLES["params"]
    kernel = params["features"]["layer2_0"]["conv1"]["kernel"]
    assert kernel.shape == (3, 3, 64, 128)
    found = TENSORS["layer2.0.conv1.weight"]
    assert found.shape == (128, 64, 3, 3)
    assert found[5, 6, 1, 2] == kernel[1, 2, 6, 5]
    assert TENSORS["fc.weight"].shape == (3, 512)
    np.testing.assert_array_equal(TENSORS["fc.weight"].T, params["head"]["kernel"])
    stats = VARIABLES["batch_stats"]["features"]["layer2_0"]["downsample_1"]
    name = "layer2.0.downsample.1.running_var"
    np.testing.assert_array_equal(TENSORS[name], stats["var"])


def same(got, wanted):
    assert jax.tree.structure(got) == jax.tree.structure(wanted)
    jax.tree.map(np.testing.assert_array_equal, got, wanted)


@pytest.mark.parametrize("kind", ["npz", "safetensors"])
def test_a_round_trip_through_a_file_is_exact(kind, tmp_path):
    if kind == "safetensors":
        pytest.importorskip("safetensors")
    file = tmp_path / f"a.{kind}"
    weights.write(file, TENSORS)
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
    tensors = weights.read(file)
    same(tensors, TENSORS)
    same(weights.to_variables(tensors, LIKE), VARIABLES)
    with pytest.raises(Mistake, match=r"exists; give another name"):
        weights.write(file, TENSORS)


def test_files_of_pytorch_are_read(tmp_path):
    torch = pytest.importorskip("torch")
    package = pytest.importorskip("safetensors.torch")
    state = {name: torch.tensor(array).contiguous() for name, array in TENSORS.items()}
    state["bn1.num_batches_tracked"] = torch.tensor(7)
    package.save_file(state, tmp_path / "a.safetensors")
    tensors = weights.read(tmp_path / "a.safetensors")
    same(weights.to_variables(tensors, LIKE), VARIABLES)


def test_a_head_that_the_model_lacks_is_left_aside():
    got = weights.to_variables(TENSORS, FEATURES)
    wanted = {k: {"features": tree["features"]} for k, tree in VARIABLES.items()}
    same(got, wanted)


def test_half_precision_becomes_float32():
    half = {name: array.astype(np.float16) for name, array in TENSORS.items()}
    got = jax.tree.leaves(weights.to_variables(half, LIKE))
    assert {leaf.dtype for leaf in got} == {np.dtype(np.float32)}


def less(name):
    return {key: value for key, value in TENSORS.items() if key != name}


@pytest.mark.parametrize(
    ("tensors", "like", "message"),
    [
        (
            less("layer3.0.conv2.weight"),
            LIKE,
            "a.npz has no tensor 'layer3.0.conv2.weight', which the model needs",
        ),
        (
            less("fc.bias"),
            LIKE,
            "a.npz has no tensor 'fc.bias', which the model needs",
        ),
        (
            TENSORS | {"layer1.1.conv1.weight": np.zeros(3)},
            LIKE,
            "a.npz has a tensor 'layer1.1.conv1.weight' that the model has not",
        ),
        (
            TENSORS | {"conv1.weight": np.zeros((64, 1, 7, 7))},
            LIKE,
            "a.npz: 'conv1.weight' has shape [64, 1, 7, 7], wanted [64, 3, 7, 7]",
        ),
        (
            TENSORS | {"bn1.bias": np.zeros(64, int)},
            LIKE,
            "a.npz: 'bn1.bias' is int64, wanted real numbers",
        ),
        (
            {},
            FEATURES,
            "a.npz has no tensor 'bn1.running_mean' nor 59 others, which the model "
            "needs",
        ),
    ],
)
def test_the_first_wrong_tensor_is_named(tensors, like, message):
    with pytest.raises(Mistake) as caught:
        weights.to_variables(tensors, like, "a.npz")
    assert str(caught.value) == message


def test_files_that_are_none(tmp_path):
    weights.write(tmp_path / "right.npz", {"x": np.zeros(2)})
    (tmp_path / "torn.npz").write_bytes((tmp_path / "right.npz").read_bytes()[:90])
    (tmp_path / "torn.safetensors").write_bytes(b"\x09\x00\x00")
    np.savez(tmp_path / "objects.npz", x=np.array([{}], dtype=object))
    with open(tmp_path / "lone.npz", "wb") as file:
        np.save(file, np.zeros(3))
    cases = {
        "rihgt.npz": "is not a file; did you mean right.npz?",
        "none/a.npz": "nor is",
        "a.h5": "is not a .safetensors or .npz file, nor one of PyTorch's: .pth",
        "torn.npz": "is not an .npz file of plain arrays",
        "objects.npz": "is not an .npz file of plain arrays",
        "lone.npz": "is not an .npz file of plain arrays",
    }
    for name, words in cases.items():
        with pytest.raises(Mistake) as caught:
            weights.read(tmp_path / name)
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)
    pytest.importorskip("safetensors")
    with pytest.raises(Mistake, match=r"not a whole \.safetensors file"):
        weights.read(tmp_path / "torn.safetensors")


def test_without_safetensors_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    (tmp_path / "a.safetensors").write_bytes(b"")
    for act in (weights.read, lambda path: weights.write(path.with_stem("b"), {})):
        with pytest.raises(Mistake, match=r"pip install 'ltjax\[export\]'"):
            act(tmp_path / "a.safetensors")


def test_text_goes_along(tmp_path):
    weights.write(tmp_path / "a.npz", TENSORS, "about é")
    found = weights.read(tmp_path / "a.npz")
    assert str(found["metadata"]) == "about é"
    again = weights.to_variables(found, LIKE)
    jax.tree.map(np.testing.assert_array_equal, again, VARIABLES)
    safetensors = pytest.importorskip("safetensors")
    for text in ("about é", None):
        path = tmp_path / f"{text}.safetensors"
        weights.write(path, {"w": np.ones(2)}, text)
        with safetensors.safe_open(path, "numpy") as file:
            assert (file.metadata() or {}).get("ltjax") == text
            assert list(file.keys()) == ["w"]
        assert path.stat().st_mode == (tmp_path / "a.npz").stat().st_mode
