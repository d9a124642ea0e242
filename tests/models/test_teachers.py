"""Released teachers of DeiT-LT, read by the names of their files."""

import jax
import numpy as np
import pytest

from ltjax.mistake import Mistake
from ltjax.models import teachers, weights
from ltjax.models.cifar_resnet import CifarResNet
from ltjax.models.heads import Linear
from ltjax.models.network import Network

pytestmark = pytest.mark.usefixtures("compiled_once")

RNG = np.random.default_rng(0)
CLASSES = 7
IMAGES = RNG.normal(size=(2, 32, 32, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def known():
    """A ResNet-32 with any weights, and their tensors, those of the head too."""
    net = Network(CifarResNet(32), Linear(CLASSES))
    shapes = jax.eval_shape(net.init, jax.random.key(0), IMAGES)

    def leaf(path, like):
        low = -0.1 if path[-1].key == "kernel" else 0.5
        return RNG.uniform(low, low + 0.2, like.shape).astype(np.float32)

    variables = jax.tree.map_with_path(leaf, shapes)
    tensors = weights.to_tensors(variables)
    for leaf in ("weight", "bias"):
        tensors[f"linear.{leaf}"] = tensors.pop(f"fc.{leaf}")
    return variables, tensors


def saved(path, tensors):
    np.savez(path, **tensors)
    return path


def test_that_of_paco_has_much_that_is_left_aside(known, tmp_path):
    variables, tensors = known
    head = {name: tensors[name] for name in tensors if name.startswith("linear.")}
    body = {name: tensors[name] for name in tensors.keys() - head.keys()}
    counter = {"bn1.num_batches_tracked": np.array(7)}
    file = {
        **{f"module.encoder_q.{name}": x for name, x in (body | counter).items()},
        **{f"module.encoder_k.{name}": 2 * x for name, x in body.items()},
        **{f"module.{name}": x for name, x in head.items()},
        "module.linear_k.weight": head["linear.weight"],
        "module.encoder_q.fc.0.weight": np.zeros((64, 64), np.float32),
        "module.encoder_q.fc.3.bias": np.zeros(32, np.float32),
        "module.queue": np.zeros((16, 32), np.float32),
        "module.queue_ptr": np.zeros(1, np.int64),
    }
    found = teachers.read(saved(tmp_path / "paco.npz", file))
    assert (found.classes, found.size) == (CLASSES, 32)
    jax.tree.map(np.testing.assert_array_equal, found.variables, variables)


def test_that_of_ldam_has_cosines(known, tmp_path):
    variables, tensors = known
    file = {name: x for name, x in tensors.items() if name != "linear.bias"}
    file["linear.weight"] = tensors["linear.weight"].T  # [features, classes]
    found = teachers.read(saved(tmp_path / "ldam.npz", file))
    assert (found.classes, found.size) == (CLASSES, 32)
    features = {"params": variables["params"]["features"]}
    stats = {"batch_stats": variables["batch_stats"]["features"]}
    z = np.asarray(CifarResNet(32).apply({**features, **stats}, IMAGES), float)
    columns = tensors["linear.weight"].T.astype(float)
    cosines = z @ columns / np.linalg.norm(columns, axis=0, keepdims=True)
    cosines /= np.linalg.norm(z, axis=1, keepdims=True)
    logits = np.asarray(found.net.apply(found.variables, IMAGES))
    np.testing.assert_allclose(logits / found.net.head.scale, cosines, rtol=1e-4)


def test_other_files_are_refused(known, tmp_path):
    _, tensors = known
    with pytest.raises(Mistake, match=r"has no tensor 'linear\.weight'; it must be a"):
        teachers.read(saved(tmp_path / "a.npz", {"conv1.weight": IMAGES}))
    less = {k: x for k, x in tensors.items() if k != "layer2.1.conv1.weight"}
    with pytest.raises(Mistake, match=r"no tensor 'layer2\.1\.conv1\.weight', which"):
        teachers.read(saved(tmp_path / "b.npz", less))
