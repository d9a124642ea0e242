"""The command `export`: files that are read back, a card, and nothing half done."""

import json
import runpy
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ltjax import export, finished, scoring
from ltjax.loading import load
from ltjax.mistake import Mistake
from ltjax.models import weights
from ltjax.portable import delivery, graph, tensors
from ltjax.posterior import archive

pytestmark = pytest.mark.usefixtures("compiled_once")
LOADER = Path(__file__).parent.parent / "examples" / "load_in_pytorch.py"


@pytest.fixture(scope="module")
def exported(place, tmp_path_factory):
    """The folder of an export without its graph."""
    out = tmp_path_factory.mktemp("exported") / "made"
    words = [str(place.out), "--to", "npz", "--to", "posterior", "--out", str(out)]
    assert export.main(words) == 0
    return out


def test_a_folder_of_files_and_what_they_are(place, exported):
    assert {file.name for file in exported.iterdir()} == {
        *("README.md", "export.json", "model.npz", "posterior.npz")
    }
    about = json.loads((exported / "export.json").read_text())
    row = next(
        row
        for row in place.results["rows"]
        if (row["backbone"], row["classifier"], row["variant"]) == ("swa", "srepr", "")
    )
    assert about["classifier"] == "swa/srepr"
    assert about["figures"] == row
    assert about["counts"] == [24, 13, 7, 4]
    assert about["image"] == [8, 8, 1]
    assert about["model"] == {"name": "cifar_resnet", "depth": 8, "width": 4}
    for name, file in about["files"].items():
        assert file["bytes"] == (exported / name).stat().st_size
        assert 0 <= file["largest_difference"] <= about["tolerance"] == 1e-3
    assert about["files"]["posterior.npz"]["largest_difference"] == 0
    with np.load(exported / "model.npz", allow_pickle=False) as file:
        inside = json.loads(str(file["metadata"]))
    assert inside == {name: about[name] for name in inside}
    assert {"classes", "mean", "std", "image", "classifier"} <= inside.keys()


def test_the_files_see_the_test_images_as_the_run_does(place, exported):
    run = finished.read(place.out)
    images = load(place.config.data).test.image
    z = finished.test_features(run)
    log_probs = scoring.one_pass(*finished.head(run, "srepr"))(z)
    found = jax.nn.log_softmax(tensors.logits(exported / "model.npz", run, images))
    np.testing.assert_allclose(found, log_probs, rtol=1e-4, atol=1e-4)
    state, stats = archive.load(exported / "posterior.npz")
    jax.tree.map(np.testing.assert_array_equal, state, run.weights)
    mean = jax.tree.map(lambda leaf: leaf[0], run.batch_stats)
    jax.tree.map(np.testing.assert_array_equal, stats, mean)


def test_pytorch_sees_them_so_too(place, exported):
    torch = pytest.importorskip("torch")
    run = finished.read(place.out)
    images = load(place.config.data).test.image
    with torch.no_grad():
        model = runpy.run_path(str(LOADER))["load"](exported)
        found = model(torch.from_numpy(images)).log_softmax(-1)
    z = finished.test_features(run)
    log_probs = scoring.one_pass(*finished.head(run, "srepr"))(z)
    np.testing.assert_allclose(found, log_probs, rtol=1e-4, atol=1e-4)


def test_onnx_runtime_gives_the_probabilities_of_a_row(place, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("jax2onnx")
    before = jax.random.normal(jax.random.key(0), (3, 8, 8, 1))
    said = []
    about = delivery.export(
        place.out, ("onnx",), "swa/ncm", tmp_path / "made", say=said.append
    )
    assert said[0].startswith("model.onnx: 0.0")
    assert "largest difference" in said[0]
    path = tmp_path / "made" / "model.onnx"
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (pixels,) = session.get_inputs()
    assert (pixels.name, pixels.type) == ("images", "tensor(uint8)")
    assert pixels.shape == ["N", 8, 8, 1]
    inside = json.loads(session.get_modelmeta().custom_metadata_map["ltjax"])
    assert inside["classifier"] == about["classifier"] == "swa/ncm"

    run = finished.read(place.out)
    images = load(place.config.data).test.image
    z = finished.test_features(run)
    log_probs = np.asarray(scoring.one_pass(*finished.head(run, "ncm"))(z))
    for count in (1, 7, len(images)):
        logits, probabilities = session.run(None, {"images": images[:count]})
        np.testing.assert_allclose(
            probabilities, np.exp(log_probs[:count]), rtol=1e-4, atol=1e-5
        )
        np.testing.assert_allclose(
            jax.nn.log_softmax(logits), log_probs[:count], rtol=1e-4, atol=1e-4
        )
    # The converter leaves JAX as it was.
    again = jax.random.normal(jax.random.key(0), (3, 8, 8, 1))
    np.testing.assert_array_equal(before, again)
    assert jnp.ones(1).dtype == jnp.float32


def test_an_earlier_export_is_replaced_only_when_asked(place, exported, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(place.out, copy)
    shutil.copytree(exported, copy / "export")
    words = [str(copy), "--to", "npz", "--classifier", "sgd/la"]
    before = {file.name: file.read_bytes() for file in (copy / "export").iterdir()}
    assert export.main(words) == 2
    kept = {file.name: file.read_bytes() for file in (copy / "export").iterdir()}
    assert kept == before
    assert export.main([*words, "--overwrite"]) == 0
    names = {file.name for file in (copy / "export").iterdir()}
    assert names == {"README.md", "export.json", "model.npz"}
    card = (copy / "export" / "README.md").read_text()
    assert card.startswith("# CIFAR ResNet-8, ")
    assert "`sgd/la`" in card
    # What is not ours is not removed.
    (copy / "export" / "mine.txt").write_text("kept")
    assert export.main([*words, "--overwrite"]) == 2
    assert (copy / "export" / "mine.txt").read_text() == "kept"
    theirs = {entry.name for entry in place.out.iterdir()}
    assert {entry.name for entry in copy.iterdir()} == theirs | {"export"}
    # Without an earlier one, the folder is the same.
    shutil.rmtree(copy / "export")
    assert export.main(words) == 0
    assert {file.name for file in (copy / "export").iterdir()} == names


@pytest.mark.parametrize("kind", ["npz", "posterior"])
def test_a_file_that_differs_is_not_kept(place, tmp_path, monkeypatch, kind):
    plain, save = weights.to_tensors, archive.save

    def other(variables):
        found = plain(variables)
        return found | {"bn1.bias": found["bn1.bias"] + 0.01}

    def moved(path, state, stats):
        save(path, state.replace(mean=jax.tree.map(lambda x: x + 1, state.mean)), stats)

    monkeypatch.setattr(weights, "to_tensors", other)
    monkeypatch.setattr(archive, "save", moved)
    with pytest.raises(RuntimeError, match=r"differs by .* more than 0\.001"):
        delivery.export(place.out, (kind,), out=tmp_path / "a" / "b")
    assert list((tmp_path / "a").iterdir()) == []


def test_what_a_row_cannot_be(place, tmp_path):
    for kind, row, words in (
        ("posterior", "sgd/la", "needs a row of swa; sgd/la is a point"),
        ("npz", "swa/ncm", "is not one linear layer"),
    ):
        with pytest.raises(Mistake, match=words):
            delivery.export(place.out, (kind,), row, tmp_path / "no")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_is_named(monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(graph.importlib, "import_module", missing)
    with pytest.raises(Mistake, match=r"needs the package onnx: pip install 'ltjax\["):
        graph.check()


def test_the_compute_type_may_be_another(place):
    run = finished.read(place.out, dtype="bfloat16")
    assert run.net.features.dtype == jnp.bfloat16
    assert finished.read(place.out).net.features.dtype == jnp.float32
